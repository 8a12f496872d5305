"""Scores of how well a version follows its pins.

A pin should colour an object, but the outlines of objects are not known.
Therefore all cells near the pin count as the object, also beyond the reach of
the pin's brush. Nearness is measured by `brush.distances`.
"""

from typing import NamedTuple

import numpy as np

from pic_jax.images import any_shape
from pic_jax.photos import anchors, brush

# Distances from a pin, as `brush.distances` measures them. Cells within `REACH`
# count as the pin's object. Cells beyond `FAR` count as outside, and the cells
# in between are not scored. If the reach of the pin's brush plus
# `anchors.MARGIN` is larger than one of these distances, it replaces that
# distance. On hand-drawn outlines of 19 objects, with two pin positions in each
# (scripts/measure_pins.py), the cells within `REACH` cover 0.75 of the object,
# and 0.74 of these cells lie on it. The cells within `FAR` cover 0.85.
REACH, FAR = 50.0, 62.0
# Distances in (a, b) from a pin's colour, Lab units. Up to `SAME`, a cell has
# fully taken the colour; from `OTHER` on, it has not taken it. In between, the
# score falls linearly.
SAME, OTHER = 5.0, 45.0
# A pin's colour ran over to an outside cell if the cell's colour is within
# `NEAR` of it, and would be farther away by more than `MOVED` without the pins.
# Both are distances in (a, b), Lab units.
NEAR = 20.0
MOVED = 15.0
# Pins with less chroma than this count as grey. Grey never counts as run over.
GREY = 10.0
# Smallest fraction of all cells that is reported as an overrun. The number of
# cells must also be at least 2.
MIN_OVERRUN = 0.05


class PinScore(NamedTuple):
  """Scores of one version.

  Attributes:
    taken: how fully the cells near the pins took the pins' colours, 0..1. It is
      the mean over the pins, and leaves out cells to which another pin gives
      another colour. 1 if there are no pins.
    spill: how far the pins moved the chroma of outside cells towards the colour
      of a pin: mean over the cells, Lab units.
    overrun: (row, column) of a cell in the middle of the area to which a
      colour ran over, or None. A further pin there restores the colour that the
      version has without pins.
  """

  taken: float
  spill: float
  overrun: tuple[int, int] | None


def _wanted(stroke: brush.Stroke, luminance: np.ndarray) -> np.ndarray:
  """Returns the chroma of a pin, reduced to the gamut at the L of each cell.

  Args:
    stroke: the pin.
    luminance: [h, w] L of the cells, 0..100.

  Returns:
    [h, w, 2] (a, b) in Lab units.
  """
  chroma = np.broadcast_to(stroke.chroma, (*luminance.shape, 2))
  lab = np.concatenate([luminance[..., None], chroma], -1).astype(np.float32)
  return any_shape.within_gamut(lab)[..., 1:]


def _middle(mask: np.ndarray) -> tuple[int, int] | None:
  """Returns the True cell with the most True cells in the 5 x 5 around it.

  Args:
    mask: [h, w] bool.

  Returns:
    (row, column) of the cell, or None if no cell is True.
  """
  if not mask.any():
    return None
  padded = np.pad(mask, 2).astype(int)
  windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
  num_around = np.where(mask, windows.sum((2, 3)), 0)
  row, column = np.unravel_index(num_around.argmax(), mask.shape)
  return int(row), int(column)


def score(
  strokes: list[brush.Stroke],
  luminance: np.ndarray,
  chroma: np.ndarray,
  *,
  plain: np.ndarray,
) -> PinScore:
  """Scores how well a version follows its pins.

  Args:
    strokes: the version's pins, see `hint_files.strokes_of`.
    luminance: [cell_side * h, cell_side * w] L, 0..100, see
      `Colorizer.brush_luminance`.
    chroma: [h, w, 2] chroma of the version, Lab units.
    plain: [h, w, 2] chroma of the same sample without pins, Lab units.
  """
  if not strokes:
    return PinScore(1.0, 0.0, None)
  shape = chroma.shape[:2]
  cell_side = len(luminance) // len(chroma)
  cell_luminance = brush.in_cells(luminance, cell_side).mean((1, 3))
  taken_by_pin, may_be_object = [], np.zeros(shape, bool)
  spill, ran_over = np.zeros(shape), np.zeros(shape, bool)
  painted = brush.paint(strokes, luminance, cell_side)
  for stroke in strokes:
    wanted = _wanted(stroke, cell_luminance)
    difference = np.linalg.norm(chroma - wanted, axis=-1)
    distance = brush.distances(stroke, luminance, cell_side)
    brush_reach = (
      brush.REACHES[stroke.size or brush.DEFAULT_SIZE] + anchors.MARGIN
    )
    may_be_object |= distance <= max(FAR, brush_reach)
    # Other pins may rightly give other colours to cells near this pin.
    is_other_colour = np.linalg.norm(painted.chroma - wanted, axis=-1) > 1.0
    is_object = distance <= max(REACH, brush_reach)
    is_object &= ~(painted.is_reached & is_other_colour)
    taken = 1.0 - np.clip((difference - SAME) / (OTHER - SAME), 0.0, 1.0)
    taken_by_pin.append(taken[is_object].mean() if is_object.any() else 1.0)
    if np.linalg.norm(stroke.chroma) < GREY:
      continue
    nearer = np.linalg.norm(plain - wanted, axis=-1) - difference
    spill = np.maximum(spill, nearer)
    ran_over |= (nearer > MOVED) & (difference < NEAR)
  outside = ~(may_be_object | painted.is_reached)
  ran_over &= outside
  is_reported = ran_over.sum() >= max(2, MIN_OVERRUN * ran_over.size)
  return PinScore(
    taken=float(np.mean(taken_by_pin)),
    spill=float(spill[outside].mean()) if outside.any() else 0.0,
    overrun=_middle(ran_over) if is_reported else None,
  )
