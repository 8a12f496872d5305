"""Colours for pins, scores of pins, and reading of pins from files."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from pic_jax.app import (
  opened_photograph,
  palette,
  pin_scores,
  sample_recipe,
  sampler,
)
from pic_jax.photos import colorize, hint_files, hint_points


class PinTools:
  """Answers the page's questions about the pins of a photograph."""

  def __init__(
    self, colorizer: colorize.Colorizer, the_sampler: sampler.Sampler
  ):
    """Creates the tools.

    Args:
      colorizer: the model.
      the_sampler: draws samples and predicts colours.
    """
    self._colorizer = colorizer
    self._sampler = the_sampler

  def read(
    self, opened: opened_photograph.Opened, data: bytes
  ) -> dict[str, Any]:
    """Reads pins from a file of hints.

    Args:
      opened: photograph to which the pins belong.
      data: contents of the file.

    Returns:
      JSON object with 'pins' and 'notes' for the user.

    Raises:
      UserError: if the file cannot be read, or a pin lies outside the
        photograph.
    """
    points, notes = hint_points.parse(data, 'The file')
    luminance, cell_side = self._colorizer.brush_luminance(opened.network_input)
    known = hint_files.from_points(
      points, opened.size, luminance, cell_side=cell_side
    )
    notes = [f'{note}.' for note in (*known.notes, *notes)]
    return {'pins': sample_recipe.pins_to_json(points), 'notes': notes}

  def _as_shown(self, chroma: np.ndarray) -> np.ndarray:
    """Returns chroma at the recommended saturation, at which it is shown.

    The colours of pins refer to this saturation, so they can be compared with
    the result.

    Args:
      chroma: [..., 2] sampled chroma, Lab units.
    """
    return self._sampler.saturation * chroma

  def _is_pinned(
    self,
    opened: opened_photograph.Opened,
    pins: sample_recipe.Pins,
    cell: tuple[int, int],
  ) -> bool:
    """Returns whether pins give a cell (row, column) its colour."""
    network_input = self._sampler.with_pins(opened, pins)
    hints = hint_files.without_faded(network_input).hints
    return hints is not None and bool(hints[(*cell, 2)])

  def scores(
    self,
    opened: opened_photograph.Opened,
    recipe: sample_recipe.Recipe,
    chroma: np.ndarray,
  ) -> dict[str, Any]:
    """Scores how well a sample follows its pins, and suggests a correction.

    Args:
      opened: the photograph.
      recipe: recipe of the sample, with pins.
      chroma: [h, w, 2] chroma of the sample, Lab units.

    Returns:
      JSON object with 'taken' and 'spill', see `PinScore`, and 'cure': a pin
      for a place to which the colour of another pin ran over. It restores the
      colour that the place has in the sample without pins. It is None if no
      colour ran over, or if the sample without pins is not in memory.
    """
    plain = opened.sample_sets.get(dataclasses.replace(recipe, pins=()))
    chroma = self._as_shown(chroma)
    plain_chroma = chroma if plain is None else self._as_shown(plain.chroma[0])
    num_rows, num_columns = opened.network_input.map_shape
    cell_luminance = self._colorizer.cell_luminance(opened.network_input)
    luminance, cell_side = self._colorizer.brush_luminance(opened.network_input)
    strokes, _ = hint_files.strokes_of(
      recipe.pins, opened.size, luminance.shape, cell_side=cell_side
    )
    score = pin_scores.score(strokes, luminance, chroma, plain=plain_chroma)
    cure = None
    if score.overrun:
      row, column = score.overrun
      swatch = palette.swatch_of_version(
        plain_chroma[row, column], float(cell_luminance[row, column])
      )
      height, width = opened.size
      x = int((column + 0.5) * width / num_columns)
      y = int((row + 0.5) * height / num_rows)
      point = hint_points.Point(x, y, swatch.pin_rgb)
      (cure,) = sample_recipe.pins_to_json([point])
    return {'taken': score.taken, 'spill': score.spill, 'cure': cure}

  def palette(
    self,
    opened: opened_photograph.Opened,
    spot: tuple[int, int],
    pins: sample_recipe.Pins,
    *,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> dict[str, Any]:
    """Finds colours to offer for a pin at a spot.

    Args:
      opened: the photograph.
      spot: x and y of the spot, in pixels of the photograph.
      pins: pins elsewhere in the photograph.
      recipes: recipes of samples, whose colours at the spot count as likely.
        The first recipe belongs to the sample on the screen.

    Returns:
      JSON object with the swatches 'likely' and 'vivid', and with the swatch
      'here': the colour of the sample on the screen, or None.

    Raises:
      UserError: if the spot or a pin lies outside the photograph.
    """
    map_shape = opened.network_input.map_shape
    row, column = cell = hint_files.cell_at(spot, opened.size, map_shape)
    shares = self._bin_shares(opened, cell, pins, recipes=recipes)
    luminance = _luminance_at(opened, spot)
    likely = []
    if shares:
      likely = palette.colours(
        np.mean(shares, 0), luminance, saturation=self._sampler.saturation
      )
    here = None
    if recipes:
      chroma = self._sampler.draw(opened, recipes[0]).chroma[0, row, column]
      here = palette.swatch_of_version(self._as_shown(chroma), luminance)
    return {
      'likely': [dataclasses.asdict(x) for x in likely],
      'vivid': [dataclasses.asdict(x) for x in palette.vivid(luminance)],
      'here': here and dataclasses.asdict(here),
    }

  def _bin_shares(
    self,
    opened: opened_photograph.Opened,
    cell: tuple[int, int],
    pins: sample_recipe.Pins,
    *,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> list[np.ndarray]:
    """Computes how probable the colours of a cell (row, column) are.

    Returns:
      Probabilities of the bins of `palette`, [64, 64]: up to two arrays, one
      from the embedding and one from the samples that have no pin there.
    """
    shares = []
    prediction = self._sampler.prediction_of(
      opened, pins, is_needed=not recipes
    )
    if prediction is not None:
      theta, network_luminance = prediction
      shares.append(palette.bin_shares(theta[cell], network_luminance[cell]))
    is_pinned = functools.cache(
      lambda recipe_pins: self._is_pinned(opened, recipe_pins, cell)
    )
    sample_sets = [self._sampler.draw(opened, recipe) for recipe in recipes]
    # The colour of a pin does not tell which colours the model finds likely.
    chroma = [
      sample_set.chroma[(0, *cell)]
      for recipe, sample_set in zip(recipes, sample_sets, strict=True)
      if not is_pinned(recipe.pins)
    ]
    if chroma:
      shares.append(palette.bin_shares_of_samples(np.stack(chroma)))
    return shares


def _luminance_at(
  opened: opened_photograph.Opened, spot: tuple[int, int]
) -> float:
  """Returns the luminance L, 0..100, at a spot (x, y) of a photograph."""
  luminance = opened.network_input.luminance
  row = spot[1] * luminance.shape[0] // opened.size[0]
  column = spot[0] * luminance.shape[1] // opened.size[1]
  return float(luminance[row, column])
