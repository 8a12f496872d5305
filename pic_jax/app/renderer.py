"""Renders photographs and samples as pictures for the screen and for files.

The full size is rendered only when a coloured version is saved.
"""

import dataclasses
import io
import threading
import zipfile
from typing import Any

import numpy as np

from pic_jax.app import opened_photograph, sample_recipe, sampler, screen_view
from pic_jax.images import encoding, image_files
from pic_jax.photos import colorize, drawn_samples, network_size
from pic_jax.runtime import errors

# Name of a format -> suffix of its files.
SUFFIXES = {
  picture_format: suffix
  for suffix, picture_format in screen_view.FORMATS.items()
}


class Renderer:
  """Renders pictures, and keeps the photograph that it decoded last."""

  def __init__(
    self, colorizer: colorize.Colorizer, the_sampler: sampler.Sampler
  ):
    """Creates a renderer.

    Args:
      colorizer: the model.
      the_sampler: draws the samples.
    """
    self._colorizer = colorizer
    self._sampler = the_sampler
    self._lock = threading.Lock()  # protects `_decoded`
    # Key and pixels of the photograph that was decoded last.
    self._decoded: tuple[str, image_files.Photograph] | None = None

  def small_picture(
    self,
    opened: opened_photograph.Opened,
    sample_set: drawn_samples.SampleSet,
  ) -> bytes:
    """Renders a sample as a small JPEG without adjustments."""
    small = dataclasses.replace(
      opened.network_input, luminance=opened.small_luminance
    )
    rgb, _ = self._colorizer.render(small, sample_set.chroma[0])
    return encode('JPEG', rgb)

  def view(
    self, opened: opened_photograph.Opened, asked: screen_view.ViewRequest
  ) -> bytes:
    """Renders a picture, or its visible part, at the size of the screen.

    Args:
      opened: the photograph.
      asked: the page's request.

    Returns:
      The picture as a JPEG file.

    Raises:
      UserError: if the part lies outside the photograph.
    """
    if asked.kind == 'original':
      return encode('JPEG', self._part(opened, asked)[0])
    if asked.box is None:
      luminance, window = opened.network_input.luminance, None
    else:
      rgb, window = self._part(opened, asked)
      luminance = opened_photograph.luminance_of(rgb)
    part = dataclasses.replace(opened.network_input, luminance=luminance)
    if asked.recipe is None:  # 'grey'
      return encode('JPEG', network_size.grey_picture(part))
    chroma = self._sampler.draw(opened, asked.recipe).chroma[0]
    rgb, _ = self._colorizer.render(
      part, chroma, asked.adjustments, window=window
    )
    return encode('JPEG', rgb)

  def _part(
    self, opened: opened_photograph.Opened, asked: screen_view.ViewRequest
  ) -> tuple[np.ndarray, network_size.Window]:
    """Cuts the requested part out of a photograph, at the size of the screen.

    Returns:
      Pixels, composited over white, [H, W, C] uint8, and the position of the
      part.

    Raises:
      UserError: if the part lies outside the photograph.
    """
    photograph = self._full_size(opened)
    height, width = opened.size
    if asked.box is None:
      rgb = opened_photograph.on_screen(photograph)
      return rgb, network_size.Window(0, 0, *rgb.shape[:2])
    left, top, right, bottom = asked.box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
      raise errors.UserError(
        f'The part {asked.box} lies outside the photograph, {width} x {height}.'
      )
    return opened_photograph.part_on_screen(photograph, asked.box, asked.width)

  def _full_size(
    self, opened: opened_photograph.Opened
  ) -> image_files.Photograph:
    """Returns a photograph at its full size, and keeps it for the next call."""
    with self._lock:
      if self._decoded and self._decoded[0] == opened.key:
        return self._decoded[1]
      self._decoded = None  # frees its memory before the next one is decoded
    photograph = image_files.decode_photograph(opened.data)
    with self._lock:
      self._decoded = opened.key, photograph
    return photograph

  def save(
    self, opened: opened_photograph.Opened, asked: screen_view.SaveRequest
  ) -> bytes:
    """Renders versions at the photograph's size, as the command line does.

    Args:
      opened: the photograph.
      asked: the page's request.

    Returns:
      Contents of a picture's file, or of a zip archive of pictures.

    Raises:
      UserError: if the picture is too large for the format.
    """
    suffix = SUFFIXES[asked.picture_format]
    max_side = encoding.MAX_SIDES.get(suffix, np.inf)
    height, width = opened.size
    if max(height, width * (1 + asked.with_grey)) > max_side:
      raise errors.UserError(
        f'The picture is too large for a {asked.picture_format} file: each '
        f'side may have at most {max_side:,} pixels.'
      )
    files = [self._file(opened, recipe, asked) for recipe in asked.recipes]
    if not asked.member_prefix:
      return files[0]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_STORED) as archive:
      for index, (recipe, data) in enumerate(
        zip(asked.recipes, files, strict=True)
      ):
        # Versions of one sample with different pins need different names.
        earlier_samples = [x.sample for x in asked.recipes[:index]]
        num_same = earlier_samples.count(recipe.sample)
        ending = f'-{num_same + 1}' if num_same else ''
        name = f'{asked.member_prefix}.{recipe.sample}{ending}.{suffix}'
        archive.writestr(name, data)
    return buffer.getvalue()

  def _file(
    self,
    opened: opened_photograph.Opened,
    recipe: sample_recipe.Recipe,
    asked: screen_view.SaveRequest,
  ) -> bytes:
    """Renders one version at the photograph's size as a file."""
    photograph = self._full_size(opened)
    network_input = self._colorizer.to_network_size(
      photograph.rgb, photograph.alpha
    )
    chroma = self._sampler.draw(opened, recipe).chroma[0]
    rgb, _ = self._colorizer.render(network_input, chroma, asked.adjustments)
    alpha = photograph.alpha
    if asked.with_grey:
      rgb = np.concatenate([network_size.grey_picture(network_input), rgb], 1)
      alpha = None if alpha is None else np.concatenate([alpha, alpha], 1)
    return encode(
      asked.picture_format, rgb, alpha=alpha, about=photograph.metadata
    )


def encode(picture_format: str, rgb: np.ndarray, **more: Any) -> bytes:
  """Encodes a picture as a file in memory; see `encoding.write`."""
  file = io.BytesIO()
  encoding.write(file, picture_format, rgb, **more)
  return file.getvalue()
