"""Draws samples for photographs in memory, and predicts their colours.

Every sample has a recipe, from which it can be drawn again, here or on the
command line. Samples and predictions are stored with their photograph.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pic_jax.app import opened_photograph, sample_recipe
from pic_jax.photos import (
  colorize,
  drawn_samples,
  hint_files,
  network_size,
  options,
)

# Largest numbers of samples, and of predictions of the embedding, that are kept
# for one photograph.
MAX_SAMPLE_SETS, MAX_PREDICTIONS = 1000, 4


class Sampler:
  """Draws samples and predicts colours, unless they are in memory.

  All calls that may have to draw a sample of one photograph must come from the
  same thread. Other threads may meanwhile use samples that have been drawn.
  """

  def __init__(self, colorizer: colorize.Colorizer):
    """Creates a sampler for which no program is compiled yet.

    Args:
      colorizer: the model.
    """
    self._colorizer = colorizer
    self._lock = threading.Lock()  # protects `_compiled`
    # Programs that are compiled or being compiled, by their name and the shape
    # of their input. The event is set when the compilation has ended.
    self._compiled: dict[tuple[str, tuple[int, ...]], threading.Event] = {}

  @property
  def saturation(self) -> float:
    """Saturation that the model recommends, at which the slider starts."""
    return self._colorizer.recommended.saturation

  @contextlib.contextmanager
  def _compiling(
    self, program: str, network_input: network_size.NetworkInput
  ) -> Iterator:
    """Context for calling a program; the first call for a shape compiles it.

    If another thread is compiling the program, waits until it is compiled.

    Args:
      program: name of the program, 'draw' or 'expect'.
      network_input: photograph for which the program is called.
    """
    key = program, network_input.grey_values.shape
    with self._lock:
      done = self._compiled.get(key)
      is_first = done is None
      if is_first:
        done = self._compiled[key] = threading.Event()
    if not is_first:
      done.wait()
    try:
      yield
    except BaseException:
      if is_first:
        with self._lock:
          del self._compiled[key]
      raise
    finally:
      done.set()

  def _is_compiled(
    self, program: str, network_input: network_size.NetworkInput
  ) -> bool:
    """Returns whether a program is compiled for a photograph's shape."""
    with self._lock:
      done = self._compiled.get((program, network_input.grey_values.shape))
    return done is not None and done.is_set()

  def is_ready(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> bool:
    """Returns whether a sample can be shown without compiling a program."""
    is_compiled = self._is_compiled('draw', opened.network_input)
    return is_compiled or recipe in opened.sample_sets

  def draw(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> drawn_samples.SampleSet:
    """Draws a sample, or returns it if it has been drawn before."""
    if recipe not in opened.sample_sets:
      network_input = self.with_pins(opened, recipe.pins)
      if recipe.pins:
        # Far from the pins, the sample has the same chroma as without pins.
        plain = self.draw(opened, dataclasses.replace(recipe, pins=()))
        network_input = hint_files.anchored(network_input, plain.chroma[0])
      with self._compiling('draw', network_input):
        (sample_set,) = self._colorizer.draw([network_input], recipe.settings())
      _keep(opened.sample_sets, recipe, sample_set, max_size=MAX_SAMPLE_SETS)
    return opened.sample_sets[recipe]

  def with_pins(
    self, opened: opened_photograph.Opened, pins: sample_recipe.Pins
  ) -> network_size.NetworkInput:
    """Returns the network's input of a photograph, with pins as hints."""
    if not pins:
      return opened.network_input
    # The positions of pins are in pixels of the full size, `opened.size`.
    return self._colorizer.add_hints(
      opened.network_input, pins, opened.size, saturation=self.saturation
    )

  def predict(self, network_input: network_size.NetworkInput) -> Any:
    """Predicts colours from the embedding alone, see `Colorizer.expect`."""
    with self._compiling('expect', network_input):
      return self._colorizer.expect(network_input)

  def prediction_of(
    self,
    opened: opened_photograph.Opened,
    pins: sample_recipe.Pins,
    is_needed: bool,
  ) -> Any:
    """Returns the prediction for a photograph, see `Colorizer.expect`.

    Args:
      opened: the photograph.
      pins: pins that the embedding reads.
      is_needed: whether to wait until the program is compiled. If False, the
        program is compiled in another thread, and the result is None until
        then.
    """
    if pins in opened.predictions:
      return opened.predictions[pins]
    network_input = self.with_pins(opened, pins)
    if not (is_needed or self._is_compiled('expect', network_input)):
      threading.Thread(
        target=self.predict, args=(network_input,), daemon=True
      ).start()
      return None
    prediction = self.predict(network_input)
    _keep(opened.predictions, pins, prediction, max_size=MAX_PREDICTIONS)
    return prediction

  def by_difference(
    self,
    opened: opened_photograph.Opened,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> list[int]:
    """Orders samples so that each differs most from the earlier samples.

    Args:
      opened: the photograph.
      recipes: recipes of the samples.

    Returns:
      Indices of `recipes`. The first index belongs to the most probable sample.
    """
    sample_sets = [self.draw(opened, recipe) for recipe in recipes]
    chroma = np.concatenate([sample_set.chroma for sample_set in sample_sets])
    return drawn_samples.choose(
      options.Settings(num_samples=len(recipes), rank='different'),
      np.concatenate([sample_set.bits_per_dim for sample_set in sample_sets]),
      drawn_samples.differences(chroma),
    )


def _keep(cache: dict, key: Any, value: Any, *, max_size: int) -> None:
  """Adds an entry to a cache, and removes the oldest one if it is full."""
  if len(cache) >= max_size:
    del cache[next(iter(cache))]
  cache[key] = value
