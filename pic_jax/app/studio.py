"""Photographs in memory, and the model that colours them.

A photograph is kept as its uploaded file, together with the network's input and
reduced copies for the screen.
"""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from pic_jax.app import (
  opened_photograph,
  pin_tools,
  renderer,
  sample_recipe,
  sampler,
)
from pic_jax.images import image_files
from pic_jax.photos import (
  brush,
  colorize,
  drawn_samples,
  hint_points,
  options,
)
from pic_jax.runtime import terminal

# Limits of the photographs in memory: their number, and the total size of their
# files in bytes.
MAX_PHOTOGRAPHS = 16
MAX_KEPT_BYTES = 300_000_000
# Aspect ratios (height, width) of all inputs of the network. The programs are
# compiled in this order, so it begins with the most frequent ratios.
ASPECTS = ((1, 1), (2, 3), (3, 2), (1, 2), (2, 1), (1, 4), (4, 1))
# Largest size of a photograph's file in bytes.
MAX_BYTES = image_files.MAX_BYTES


class GoneError(LookupError):
  """A request for a photograph that is not in memory any more."""


class Studio:
  """Keeps the most recently used photographs and colours them.

  All calls that may have to draw a sample of one photograph must come from the
  same thread. Other threads may meanwhile open photographs and show samples
  that have been drawn.

  Attributes:
    sampler: draws samples and predicts colours.
    renderer: renders pictures for the screen and for files.
    pin_tools: offers colours for pins, and scores pins.
  """

  def __init__(self, colorizer: colorize.Colorizer, name: str):
    """Creates a studio without photographs.

    Args:
      colorizer: the model.
      name: the model's name on the page.
    """
    self._colorizer = colorizer
    self._name = name
    self.sampler = sampler.Sampler(colorizer)
    self.renderer = renderer.Renderer(colorizer, self.sampler)
    self.pin_tools = pin_tools.PinTools(colorizer, self.sampler)
    self._lock = threading.Lock()  # protects `_opened`
    # Photographs by key. The most recently used one is last.
    self._opened: dict[str, opened_photograph.Opened] = {}

  def facts(self) -> dict[str, Any]:
    """Returns facts about the model as a JSON object for the page."""
    recommended = self._colorizer.complete(options.Settings())
    return {
      'name': self._name,
      'sha256': self._colorizer.digest,
      'reads_pins': self._colorizer.model.hint_share > 0,
      'pin_sizes': list(brush.REACHES),
      'scores_pins': self._colorizer.model.hint_share > 0,
      'max_bytes': MAX_BYTES,
      'defaults': {
        'model': options.Model().model,
        'temperature': recommended.temperature,
        'pin_size': brush.DEFAULT_SIZE,
        'adjustments': dataclasses.asdict(recommended.adjustments),
      },
    }

  def warm_up(self, before_shape: Callable[[int, int], None]) -> None:
    """Compiles the programs for photographs of all shapes.

    Args:
      before_shape: function that is called before each shape is compiled, with
        the number of compiled shapes and the number of all shapes. It may block
        until the machine is idle.
    """
    for index, (height, width) in enumerate(ASPECTS):
      before_shape(index, len(ASPECTS))
      # The picture has several hues, so it does not count as toned. It is large
      # enough for `any_shape` to use its large chunks.
      picture = np.full((300 * height, 300 * width, 3), 128, np.uint8)
      picture[..., 0] = np.linspace(0, 255, 300 * width)
      picture[..., 2] = np.linspace(0, 255, 300 * height)[:, None]
      opened = opened_photograph.read(
        renderer.encode('PNG', picture), self._colorizer
      )
      recipe = sample_recipe.Recipe(0, sample=0, temperature=1.0, pins=())
      self.show(opened, recipe)
      self.sampler.predict(opened.network_input)
      self.pin_tools.palette(opened, (50, 50), (), recipes=[recipe])
      if self._colorizer.model.hint_share:
        pin = hint_points.Point(50, 50, (200, 40, 40))
        self.show(opened, dataclasses.replace(recipe, pins=(pin,)))
    terminal.say('Ready. No photograph has to wait for the compiler.')

  def open(self, data: bytes) -> opened_photograph.Opened:
    """Opens a photograph, and drops the least recently used ones if needed.

    Args:
      data: contents of the file.

    Raises:
      RunError: if the file cannot be read.
    """
    opened = opened_photograph.read(data, self._colorizer)
    with self._lock:
      self._opened[opened.key] = opened
      num_bytes = sum(len(x.data) for x in self._opened.values())
      while len(self._opened) > 1 and (
        len(self._opened) > MAX_PHOTOGRAPHS or num_bytes > MAX_KEPT_BYTES
      ):
        num_bytes -= len(self._opened.pop(next(iter(self._opened))).data)
    return opened

  def find(self, key: str) -> opened_photograph.Opened:
    """Returns an opened photograph, which becomes the most recently used one.

    Raises:
      GoneError: if the photograph is not in memory any more.
    """
    with self._lock:
      if key not in self._opened:
        raise GoneError(
          'This photograph is no longer in memory. Please open it again.'
        )
      self._opened[key] = self._opened.pop(key)
      return self._opened[key]

  def show(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> tuple[dict[str, Any], bytes]:
    """Draws a sample, if needed, and renders it for the list of versions.

    Args:
      opened: the photograph.
      recipe: recipe of the sample.

    Returns:
      JSON object with the sample's 'bits_per_dim' and, if it has pins, their
      scores and 'notes' for the user; and a small JPEG without adjustments.
    """
    sample_set = self.sampler.draw(opened, recipe)
    numbers: dict[str, Any] = {
      'bits_per_dim': drawn_samples.finite(sample_set.bits_per_dim[0])
    }
    if recipe.pins:
      numbers |= self.pin_tools.scores(opened, recipe, sample_set.chroma[0])
      numbers['notes'] = sample_set.network_input.hint_notes
    return numbers, self.renderer.small_picture(opened, sample_set)
