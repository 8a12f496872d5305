"""Photographs that somebody looks at while they are coloured, in memory.

Files are kept as they came, and what the network and a screen need of them;
full size is made when it is saved. Every sample has a recipe, from which it can
be drawn again, here or by the command line.
"""

import dataclasses
import hashlib
import io
import math
import operator
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from pic_jax.images import encoding, image_files, to_srgb
from pic_jax.photos import colorize, drawn_samples, network_size, options
from pic_jax.runtime import run_log

SCREEN_SIDE = 1600  # pixels of the long side of what is shown
MAX_PHOTOGRAPHS = 16
MAX_KEPT_BYTES = 300_000_000  # of files
QUIET_SECONDS = 1.0
MAX_DRAWINGS = 1000  # kept of one photograph
FORMATS = {'png': 'PNG', 'jpg': 'JPEG'}
# All shapes that the network sees, the usual ones first.
ASPECTS = ((3, 2), (2, 3), (1, 1), (2, 1), (1, 2), (4, 1), (1, 4))
MAX_BYTES = image_files.MAX_BYTES


class GoneError(LookupError):
  """A photograph that is not, or no longer, in memory."""


@dataclasses.dataclass(frozen=True)
class Recipe:
  """All that a sample depends on, besides photograph and weights.

  Attributes:
    seed, sample, temperature: see `options.Settings`.
  """

  seed: int
  sample: int
  temperature: float

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Recipe':
    """Checks what comes from a page.

    Raises:
      LookupError, TypeError, ValueError: not a recipe.
    """
    recipe = cls(
      seed=operator.index(fields['seed']),
      sample=operator.index(fields['sample']),
      temperature=float(fields['temperature']),
    )
    recipe.settings()
    return recipe

  def settings(self, saturation: float = 1.0) -> options.Settings:
    """The same as the command line has it."""
    return options.Settings(
      samples=[self.sample],
      seed=self.seed,
      temperature=self.temperature,
      saturation=saturation,
    )


@dataclasses.dataclass
class Opened:
  """A photograph in memory.

  Attributes:
    key: names it; nobody guesses it.
    data: the file.
    sha256: of the file.
    size: height and width of the upright photograph.
    notes: see `image_files.Photograph`.
    grey: what the network sees; its luminance at most `SCREEN_SIDE` long.
    drawings: of the samples drawn so far.
  """

  key: str
  data: bytes
  sha256: str
  size: tuple[int, int]
  notes: tuple[str, ...]
  grey: network_size.Grey
  drawings: dict[Recipe, drawn_samples.Drawing] = dataclasses.field(
    default_factory=dict
  )

  def facts(self) -> dict[str, Any]:
    """For a page."""
    return {
      'id': self.key,
      'sha256': self.sha256,
      'height': self.size[0],
      'width': self.size[1],
      'screen_width': self.grey.luminance.shape[1],
      'notes': self.notes,
      'has_colours': self.grey.chroma is not None,
    }


class Studio:
  """Keeps the photographs that were used last; for one thread."""

  def __init__(self, colorizer: colorize.Colorizer, name: str):
    """Of a model, and how it is called."""
    self._colorizer = colorizer
    self._name = name
    self._opened: dict[str, Opened] = {}  # the one used last is last

  def facts(self) -> dict[str, Any]:
    """Of the model, for a page."""
    own = self._colorizer.complete(options.Settings())
    return {
      'name': self._name,
      'sha256': self._colorizer.digest,
      'defaults': {'model': 'photos', 'temperature': own.temperature},
    }

  def warm_up(self, wait: Callable[[float], None]) -> None:
    """Compiles what photographs need, each time after `wait(QUIET_SECONDS)`."""
    for height, width in ASPECTS:
      wait(QUIET_SECONDS)
      blank = np.full((100 * height, 100 * width, 1), 128, np.uint8)
      grey = self._colorizer.to_network_size(blank)
      self._colorizer.draw([grey], options.Settings(samples=[0]))
    run_log.say('Ready: no photograph waits for the compiler.')

  def open(self, data: bytes) -> Opened:
    """Reads a photograph.

    Raises:
      RunError: it cannot be read.
    """
    photograph = image_files.decode_photograph(data)
    luminance = self._colorizer.to_network_size(on_screen(photograph)).luminance
    grey = dataclasses.replace(
      self._colorizer.to_network_size(photograph.rgb), luminance=luminance
    )
    opened = Opened(
      key=secrets.token_urlsafe(16),
      data=data,
      sha256=hashlib.sha256(data).hexdigest(),
      size=photograph.rgb.shape[:2],
      notes=photograph.notes,
      grey=grey,
    )
    self._opened[opened.key] = opened
    while len(self._opened) > 1 and self._is_full():
      del self._opened[next(iter(self._opened))]
    return opened

  def _is_full(self) -> bool:
    kept = sum(len(opened.data) for opened in self._opened.values())
    return len(self._opened) > MAX_PHOTOGRAPHS or kept > MAX_KEPT_BYTES

  def find(self, key: str) -> Opened:
    """A photograph that was opened.

    Raises:
      GoneError: long ago.
    """
    if key not in self._opened:
      raise GoneError('This photograph is no longer in memory: open it again.')
    self._opened[key] = self._opened.pop(key)
    return self._opened[key]

  def _draw(self, opened: Opened, recipe: Recipe) -> drawn_samples.Drawing:
    """Draws a sample, or finds it."""
    if recipe not in opened.drawings:
      (drawing,) = self._colorizer.draw([opened.grey], recipe.settings())
      if len(opened.drawings) >= MAX_DRAWINGS:
        del opened.drawings[next(iter(opened.drawings))]
      opened.drawings[recipe] = drawing
    return opened.drawings[recipe]

  def show(
    self, opened: Opened, recipe: Recipe, saturation: float
  ) -> tuple[dict[str, float | None], bytes]:
    """Bits/dim of a sample and of the original, and a JPEG for the screen."""
    drawing = self._draw(opened, recipe)
    numbers = {
      'bits_per_dim': drawing.bits_per_dim[0].item(),
      'original_bits_per_dim': drawing.original_bits_per_dim,
    }
    for name, value in numbers.items():
      if value is not None and not math.isfinite(value):
        numbers[name] = None  # of a model without a likelihood
    return numbers, self._render(drawing, recipe.settings(saturation))

  def _render(
    self, drawing: drawn_samples.Drawing, settings: options.Settings
  ) -> bytes:
    rgb, _ = self._colorizer.render(drawing, 0, settings)
    return encode('JPEG', rgb)

  def save(
    self, opened: Opened, recipe: Recipe, saturation: float, form: str
  ) -> bytes:
    """A sample at the photograph's size, as the command line writes it."""
    photograph = image_files.decode_photograph(opened.data)
    drawing = dataclasses.replace(
      self._draw(opened, recipe),
      grey=self._colorizer.to_network_size(photograph.rgb),
    )
    rgb, _ = self._colorizer.render(drawing, 0, recipe.settings(saturation))
    return encode(form, rgb, photograph.alpha, photograph.metadata)

  def grey(self, opened: Opened) -> bytes:
    """The photograph without colours, a JPEG for the screen."""
    chroma = np.zeros((1, *opened.grey.shape, 2), np.float32)
    none = drawn_samples.Drawing(opened.grey, chroma, np.zeros(1), None, 0.0)
    return self._render(none, options.Settings())

  def original(self, opened: Opened) -> bytes:
    """The photograph in its own colours, a JPEG for the screen."""
    return encode('JPEG', on_screen(image_files.decode_photograph(opened.data)))

  def by_difference(
    self, opened: Opened, recipes: Sequence[Recipe]
  ) -> list[int]:
    """Positions of samples: the most probable, then what differs most."""
    drawings = [self._draw(opened, recipe) for recipe in recipes]
    chroma = np.concatenate([drawing.chroma for drawing in drawings])
    differences = np.linalg.norm(chroma[:, None] - chroma, axis=-1)
    return options.choose(
      options.Settings(num_samples=len(recipes), rank='different'),
      np.concatenate([drawing.bits_per_dim for drawing in drawings]),
      differences.mean((2, 3)),
    )


def on_screen(photograph: image_files.Photograph) -> np.ndarray:
  """At most `SCREEN_SIDE` long, uint8 [H, W, C], over white."""
  rgb = to_srgb.over_white(photograph.rgb, photograph.alpha)
  height, width = rgb.shape[:2]
  scale = min(1.0, SCREEN_SIDE / max(height, width))
  size = (max(1, round(width * scale)), max(1, round(height * scale)))
  image = Image.fromarray(rgb[..., 0] if rgb.shape[-1] == 1 else rgb)
  if image.size != size:
    image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
  return np.atleast_3d(np.asarray(image))


def encode(form: str, rgb: np.ndarray, *more: Any) -> bytes:
  """A file in memory; see `encoding.write`."""
  file = io.BytesIO()
  encoding.write(file, form, rgb, *more)
  return file.getvalue()
