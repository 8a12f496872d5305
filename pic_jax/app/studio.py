"""Photographs that somebody looks at while they are coloured, in memory.

Files are kept as they came, and what the network and a screen need of them;
full size is made when it is saved. Every sample has a recipe, from which it can
be drawn again, here or by the command line.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pic_jax.app import opened_photograph, palette, sample_recipe
from pic_jax.images import encoding, image_files
from pic_jax.photos import (
  colorize,
  drawn_samples,
  hint_files,
  network_size,
  options,
)
from pic_jax.runtime import errors, terminal

MAX_PHOTOGRAPHS = 16
MAX_KEPT_BYTES = 300_000_000  # of files
QUIET_SECONDS = 1.0
MAX_DRAWINGS, MAX_EXPECTED = 1000, 4  # kept of one photograph
FORMATS = {'png': 'PNG', 'jpg': 'JPEG'}
SUFFIXES = {form: suffix for suffix, form in FORMATS.items()}
# All shapes that the network sees, the usual ones first.
ASPECTS = ((3, 2), (2, 3), (1, 1), (2, 1), (1, 2), (4, 1), (1, 4))
MAX_BYTES = image_files.MAX_BYTES


class GoneError(LookupError):
  """A photograph that is not, or no longer, in memory."""


class Studio:
  """Keeps the photographs that were used last; for one thread."""

  def __init__(self, colorizer: colorize.Colorizer, name: str):
    """Of a model, and how it is called."""
    self._colorizer = colorizer
    self._name = name
    # The one used last is last.
    self._opened: dict[str, opened_photograph.Opened] = {}

  def facts(self) -> dict[str, Any]:
    """Of the model, for a page."""
    own = self._colorizer.complete(options.Settings())
    return {
      'name': self._name,
      'sha256': self._colorizer.digest,
      'reads_pins': self._colorizer.model.hint_share > 0,
      'defaults': {
        'model': options.Model().model,
        'temperature': own.temperature,
      },
    }

  def warm_up(self, wait: Callable[[float], None]) -> None:
    """Compiles what photographs need, each time after `wait(QUIET_SECONDS)`."""
    for height, width in ASPECTS:
      wait(QUIET_SECONDS)
      blank = np.full((100 * height, 100 * width, 1), 128, np.uint8)
      network_input = self._colorizer.to_network_size(blank)
      self._colorizer.draw([network_input], options.Settings(samples=[0]))
      self._colorizer.expect(network_input)
    terminal.say('Ready: no photograph waits for the compiler.')

  def open(self, data: bytes) -> opened_photograph.Opened:
    """Reads a photograph.

    Raises:
      RunError: it cannot be read.
    """
    opened = opened_photograph.read(data, self._colorizer)
    self._opened[opened.key] = opened
    kept = sum(len(one.data) for one in self._opened.values())
    while len(self._opened) > 1 and (
      len(self._opened) > MAX_PHOTOGRAPHS or kept > MAX_KEPT_BYTES
    ):
      kept -= len(self._opened.pop(next(iter(self._opened))).data)
    return opened

  def find(self, key: str) -> opened_photograph.Opened:
    """A photograph that was opened.

    Raises:
      GoneError: long ago.
    """
    if key not in self._opened:
      raise GoneError('This photograph is no longer in memory: open it again.')
    self._opened[key] = self._opened.pop(key)
    return self._opened[key]

  def _draw(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> drawn_samples.Drawing:
    """Draws a sample, or finds it."""
    if recipe not in opened.drawings:
      network_input = self._with_pins(opened, recipe.pins)
      (drawing,) = self._colorizer.draw([network_input], recipe.settings())
      _keep(opened.drawings, recipe, drawing, MAX_DRAWINGS)
    return opened.drawings[recipe]

  def _with_pins(
    self, opened: opened_photograph.Opened, pins: sample_recipe.Pins
  ) -> network_size.NetworkInput:
    """The photograph, with its pins as hints."""
    if not pins:
      return opened.network_input
    # By the photograph's own pixels, as the command line has it.
    return self._colorizer.add_hints(opened.network_input, pins, opened.size)

  def show(
    self,
    opened: opened_photograph.Opened,
    recipe: sample_recipe.Recipe,
    saturation: float,
  ) -> tuple[dict[str, float | None], bytes]:
    """Bits/dim of a sample, and a JPEG for the screen."""
    drawing = self._draw(opened, recipe)
    numbers = {'bits_per_dim': drawn_samples.finite(drawing.bits_per_dim[0])}
    rgb, _ = self._colorizer.render(
      opened.network_input, drawing.chroma[0], saturation
    )
    return numbers, encode('JPEG', rgb)

  def save(
    self,
    opened: opened_photograph.Opened,
    recipe: sample_recipe.Recipe,
    saturation: float,
    form: str,
  ) -> bytes:
    """A sample at the photograph's size, as the command line writes it.

    Raises:
      UserError: this format has no file of that size.
    """
    side = encoding.MAX_SIDES.get(SUFFIXES[form], np.inf)
    if max(opened.size) > side:
      raise errors.UserError(f'{form} has at most {side:,} pixels a side.')
    photograph = image_files.decode_photograph(opened.data)
    network_input = self._colorizer.to_network_size(
      photograph.rgb, photograph.alpha
    )
    chroma = self._draw(opened, recipe).chroma[0]
    rgb, _ = self._colorizer.render(network_input, chroma, saturation)
    return encode(form, rgb, photograph.alpha, photograph.metadata)

  def grey(self, opened: opened_photograph.Opened) -> bytes:
    """The photograph without colours, a JPEG for the screen."""
    none = np.zeros((*opened.network_input.shape, 2), np.float32)
    return encode('JPEG', self._colorizer.render(opened.network_input, none)[0])

  def original(self, opened: opened_photograph.Opened) -> bytes:
    """The photograph in its own colours, a JPEG for the screen."""
    photograph = image_files.decode_photograph(opened.data)
    return encode('JPEG', opened_photograph.on_screen(photograph))

  def palette(
    self,
    opened: opened_photograph.Opened,
    place: tuple[int, int],
    pins: sample_recipe.Pins,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> list[palette.Colour]:
    """Colours that are likely at a place.

    Args:
      opened: the photograph.
      place: x, y in its pixels.
      pins: hints elsewhere in it.
      recipes: of samples that are looked at, too.

    Raises:
      UserError: the place, or a pin, lies outside.
    """
    row, column = hint_files.cell_at(
      place, opened.size, opened.network_input.shape
    )
    if pins not in opened.expected:
      expected = self._colorizer.expect(self._with_pins(opened, pins))
      _keep(opened.expected, pins, expected, MAX_EXPECTED)
    shares = []
    if opened.expected[pins] is not None:
      theta, luminance = opened.expected[pins]
      shares.append(palette.bins_of(theta[row, column], luminance[row, column]))
    drawings = [self._draw(opened, recipe) for recipe in recipes]
    chroma = [
      drawing.chroma[0, row, column]
      for drawing in drawings
      if drawing.network_input.hints is None
      or not drawing.network_input.hints[row, column, 2]
    ]
    if chroma:
      shares.append(palette.bins_of_samples(np.stack(chroma)))
    if not shares:
      return []
    height, width = opened.network_input.luminance.shape
    luminance = opened.network_input.luminance[
      place[1] * height // opened.size[0], place[0] * width // opened.size[1]
    ]
    return palette.colours(np.mean(shares, 0), float(luminance))

  def by_difference(
    self,
    opened: opened_photograph.Opened,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> list[int]:
    """Positions of samples: the most probable, then what differs most."""
    drawings = [self._draw(opened, recipe) for recipe in recipes]
    chroma = np.concatenate([drawing.chroma for drawing in drawings])
    return drawn_samples.choose(
      options.Settings(num_samples=len(recipes), rank='different'),
      np.concatenate([drawing.bits_per_dim for drawing in drawings]),
      drawn_samples.differences(chroma),
    )


def _keep(memory: dict, key: Any, value: Any, most: int) -> None:
  """Puts a value into a memory that forgets the oldest."""
  if len(memory) >= most:
    del memory[next(iter(memory))]
  memory[key] = value


def encode(form: str, rgb: np.ndarray, *more: Any) -> bytes:
  """A file in memory; see `encoding.write`."""
  file = io.BytesIO()
  encoding.write(file, form, rgb, *more)
  return file.getvalue()
