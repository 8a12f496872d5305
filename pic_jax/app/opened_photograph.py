"""A photograph that the server keeps in memory."""

import dataclasses
import hashlib
import secrets
from typing import Any

import numpy as np
from PIL import Image

from pic_jax.app import sample_recipe
from pic_jax.images import any_shape, image_files, resizing, to_srgb
from pic_jax.photos import colorize, drawn_samples, network_size

# Largest side, in pixels, of a photograph that is shown whole on the screen.
SCREEN_SIDE = 1600
# Largest side, in pixels, of the small pictures in the list of versions.
SMALL_SIDE = 480


@dataclasses.dataclass
class Opened:
  """A photograph in memory, with the results that were computed for it.

  Attributes:
    key: random identifier, which other users of the server cannot guess.
    data: contents of the file.
    sha256: SHA-256 of the file, in hexadecimal digits.
    size: height and width of the upright photograph in pixels.
    notes: notes for the user, see `image_files.Photograph`.
    network_input: the photograph, prepared for the network. Its `luminance` is
      that of the copy for the screen, whose sides are at most `SCREEN_SIDE`.
    small_luminance: luminance L of the photograph, 0..100, [H, W] float32, with
      sides of at most `SMALL_SIDE`.
    sample_sets: samples drawn so far, keyed by recipe.
    predictions: predictions of the embedding, see `Colorizer.expect`, keyed by
      the pins that the embedding reads.
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
  predictions: dict[sample_recipe.Pins, Any] = dataclasses.field(
    default_factory=dict
  )

  def facts(self) -> dict[str, Any]:
    """Returns the properties that the page shows, as a JSON object."""
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

  Args:
    data: contents of the file.
    colorizer: model for which the photograph is prepared.

  Raises:
    RunError: if the file cannot be read.
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
      np.atleast_3d(np.asarray(resizing.limit_long_side(screen, SMALL_SIDE)))
    ),
  )


def on_screen(photograph: image_files.Photograph) -> np.ndarray:
  """Scales a photograph down to sides of at most `SCREEN_SIDE`.

  Returns:
    Pixels, composited over white, uint8 [H, W, C].
  """
  rgb = to_srgb.over_white(photograph.rgb, photograph.alpha)
  return np.atleast_3d(np.asarray(resizing.limit_long_side(rgb, SCREEN_SIDE)))


def luminance_of(rgb: np.ndarray) -> np.ndarray:
  """Converts an sRGB picture to luminance.

  Args:
    rgb: [H, W, C] uint8 with 1 or 3 channels.

  Returns:
    Luminance L, 0..100, [H, W] float32.
  """
  return any_shape.rgb_to_lab(np.broadcast_to(rgb, (*rgb.shape[:2], 3)))[..., 0]


def part_on_screen(
  photograph: image_files.Photograph,
  box: tuple[int, int, int, int],
  width: int,
) -> tuple[np.ndarray, network_size.Window]:
  """Cuts a part out of a photograph and scales it down for the screen.

  Args:
    photograph: the photograph at its full size.
    box: left, top, right and bottom edge of the part, in pixels of the
      photograph.
    width: width of the part on the screen, in pixels. A part with fewer pixels
      is not enlarged.

  Returns:
    Pixels of the part, composited over white, [H, W, C] uint8, and the position
    of the part in the whole photograph at the same scale.
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
