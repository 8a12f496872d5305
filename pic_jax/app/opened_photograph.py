"""A photograph in memory: the file as it came, and what is looked at."""

import dataclasses
import hashlib
import secrets
from typing import Any

import numpy as np
from PIL import Image

from pic_jax.app import sample_recipe
from pic_jax.images import any_shape, image_files, resizing, to_srgb
from pic_jax.photos import colorize, drawn_samples, network_size

SCREEN_SIDE = 1600  # pixels of the long side of what is shown whole
SMALL_SIDE = 480  # of the pictures in the list


@dataclasses.dataclass
class Opened:
  """A photograph in memory.

  Attributes:
    key: names it; nobody guesses it.
    data: the file.
    sha256: of the file.
    size: height and width of the upright photograph.
    notes: see `image_files.Photograph`.
    network_input: its luminance is at most `SCREEN_SIDE` long.
    small_luminance: [H, W] L of the photograph, at most `SMALL_SIDE` long.
    sample_sets: samples drawn so far, keyed by recipe.
    expected: what the embedding expects in each cell, by what is given.
  """

  key: str
  data: bytes
  sha256: str
  size: tuple[int, int]
  notes: tuple[str, ...]
  network_input: network_size.NetworkInput
  small_luminance: np.ndarray
  sample_sets: dict[sample_recipe.Recipe, drawn_samples.SampleSet] = (
    dataclasses.field(default_factory=dict)
  )
  expected: dict[sample_recipe.Pins, Any] = dataclasses.field(
    default_factory=dict
  )

  def facts(self) -> dict[str, Any]:
    """For a page."""
    return {
      'id': self.key,
      'sha256': self.sha256,
      'height': self.size[0],
      'width': self.size[1],
      'screen_width': self.network_input.luminance.shape[1],
      'notes': self.notes,
      'has_colours': self.network_input.chroma is not None,
    }


def read(data: bytes, colorizer: colorize.Colorizer) -> Opened:
  """Reads a photograph.

  Raises:
    RunError: it cannot be read.
  """
  photograph = image_files.decode_photograph(data)
  screen = on_screen(photograph)
  luminance = luminance_of(screen)
  network_input = colorizer.to_network_size(photograph.rgb, photograph.alpha)
  return Opened(
    key=secrets.token_urlsafe(16),
    data=data,
    sha256=hashlib.sha256(data).hexdigest(),
    size=photograph.rgb.shape[:2],
    notes=photograph.notes,
    network_input=dataclasses.replace(network_input, luminance=luminance),
    small_luminance=luminance_of(
      np.atleast_3d(resizing.limit_long_side(screen, SMALL_SIDE))
    ),
  )


def on_screen(photograph: image_files.Photograph) -> np.ndarray:
  """At most `SCREEN_SIDE` long, uint8 [H, W, C], over white."""
  rgb = to_srgb.over_white(photograph.rgb, photograph.alpha)
  return np.atleast_3d(resizing.limit_long_side(rgb, SCREEN_SIDE))


def luminance_of(rgb: np.ndarray) -> np.ndarray:
  """L [H, W] float32, 0..100, of [H, W, C] uint8."""
  return any_shape.rgb_to_lab(np.broadcast_to(rgb, (*rgb.shape[:2], 3)))[..., 0]


def part_on_screen(
  photograph: image_files.Photograph,
  box: tuple[int, int, int, int],
  width: int,
) -> tuple[np.ndarray, network_size.Window]:
  """A part of a photograph as large as a screen shows it, over white.

  Args:
    photograph: in full.
    box: left, top, right, bottom in its pixels.
    width: pixels of the part on the screen, at most as many as it has.

  Returns:
    [H, W, C] uint8, and its place in the photograph at that scale.
  """
  left, top, right, bottom = box
  rgb = photograph.rgb[top:bottom, left:right]
  alpha = photograph.alpha
  if alpha is not None:
    alpha = alpha[top:bottom, left:right]
  rgb = np.atleast_3d(to_srgb.over_white(rgb, alpha))
  scale = min(1.0, width / (right - left))
  if scale < 1:
    size = (width, max(1, round(scale * (bottom - top))))
    image = resizing.to_pillow(rgb).resize(size, Image.Resampling.LANCZOS)
    rgb = np.atleast_3d(np.asarray(image))
  height, whole_width = photograph.rgb.shape[:2]
  return rgb, network_size.Window(
    round(scale * top),
    round(scale * left),
    max(1, round(scale * height)),
    max(1, round(scale * whole_width)),
  )
