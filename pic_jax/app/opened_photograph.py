"""A photograph in memory: the file as it came, and what is looked at."""

import dataclasses
import hashlib
import secrets
from typing import Any

import numpy as np

from pic_jax.app import sample_recipe
from pic_jax.images import image_files, resizing, to_srgb
from pic_jax.photos import colorize, drawn_samples, network_size

SCREEN_SIDE = 1600  # pixels of the long side of what is shown


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
    drawings: of the samples drawn so far.
    expected: what the embedding expects in each cell, by what is given.
  """

  key: str
  data: bytes
  sha256: str
  size: tuple[int, int]
  notes: tuple[str, ...]
  network_input: network_size.NetworkInput
  drawings: dict[sample_recipe.Recipe, drawn_samples.Drawing] = (
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
  luminance = colorizer.to_network_size(on_screen(photograph)).luminance
  network_input = colorizer.to_network_size(photograph.rgb, photograph.alpha)
  return Opened(
    key=secrets.token_urlsafe(16),
    data=data,
    sha256=hashlib.sha256(data).hexdigest(),
    size=photograph.rgb.shape[:2],
    notes=photograph.notes,
    network_input=dataclasses.replace(network_input, luminance=luminance),
  )


def on_screen(photograph: image_files.Photograph) -> np.ndarray:
  """At most `SCREEN_SIDE` long, uint8 [H, W, C], over white."""
  rgb = to_srgb.over_white(photograph.rgb, photograph.alpha)
  return np.atleast_3d(resizing.limit_long_side(rgb, SCREEN_SIDE))
