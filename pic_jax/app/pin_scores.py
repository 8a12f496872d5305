"""Scores of pins: how well a version follows them, where they run over.

Nobody has outlined the objects: of an object counts what is near to a pin, see
`brush.distances`, some way beyond the cells that the pin itself gives.
"""

from typing import NamedTuple

import numpy as np

from pic_jax.images import any_shape
from pic_jax.photos import brush

# Against outlines by hand (scripts/measure_pins.py, 19 objects, two places of
# each): within `REACH` lies 0.73 of an object, and 0.74 of what lies there is
# the object; within `FAR` lies 0.85.
# Distances from a pin: so far an object surely reaches, and may reach.
REACH, FAR = 60.0, 76.0
# Lab units of (a, b): what is nearer took a pin's colour, what is farther did
# not take it at all.
SAME, OTHER = 5.0, 45.0
NEAR = 20.0  # Lab units: of where a colour ran over
GREY = 10.0  # chroma of a pin below which nothing can run over
MOVED = 15.0  # Lab units by which a cell must have come nearer to the colour
MIN_OVERRUN = 0.05  # of all cells: less is not worth a word


class PinScore(NamedTuple):
  """One version's.

  Attributes:
    taken: 0..1, how near to the pins' colours the cells around them came, not
      counting those that the pins give; the mean over pins. 1 without pins.
    spill: Lab units by which the other cells came nearer to a pin's colour than
      without pins, their mean.
    overrun: (row, column) of a cell in the middle of where a colour ran over;
      None: nowhere. A pin there, "as it is here" of a version without pins or
      grey, is the cure.
  """

  taken: float
  spill: float
  overrun: tuple[int, int] | None


def _wanted(stroke: brush.Stroke, luminance: np.ndarray) -> np.ndarray:
  """[h, w, 2] Lab units: what a pin's colour can be in each cell, in gamut."""
  chroma = np.broadcast_to(stroke.chroma, (*luminance.shape, 2))
  lab = np.concatenate([luminance[..., None], chroma], -1).astype(np.float32)
  return any_shape.within_gamut(lab)[..., 1:]


def _middle(mask: np.ndarray) -> tuple[int, int] | None:
  """The True cell [h, w] that has most others around it, within 2 cells."""
  if not mask.any():
    return None
  padded = np.pad(mask, 2).astype(int)
  windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
  crowd = np.where(mask, windows.sum((2, 3)), 0)
  row, column = np.unravel_index(crowd.argmax(), mask.shape)
  return int(row), int(column)


def score(
  strokes: list[brush.Stroke],
  luminance: np.ndarray,
  chroma: np.ndarray,
  *,
  plain: np.ndarray,
) -> PinScore:
  """Scores a version.

  Args:
    strokes: its pins, see `hint_files.strokes_of`.
    luminance: [cell_side h, cell_side w] L, see `Colorizer.brush_luminance`.
    chroma: [h, w, 2] the version, Lab units.
    plain: [h, w, 2] the same sample without pins.
  """
  if not strokes:
    return PinScore(1.0, 0.0, None)
  shape = chroma.shape[:2]
  cell_side = len(luminance) // len(chroma)
  cells = brush.in_cells(luminance, cell_side).mean((1, 3))
  shares, objects = [], np.zeros(shape, bool)
  shift, ran_over = np.zeros(shape), np.zeros(shape, bool)
  _, is_given = brush.paint(strokes, luminance, cell_side)
  for stroke in strokes:
    wanted = _wanted(stroke, cells)
    apart = np.linalg.norm(chroma - wanted, axis=-1)
    distance = brush.distances(stroke, luminance, cell_side)
    objects |= distance <= FAR
    beyond = (distance <= REACH) & ~is_given
    near = 1.0 - np.clip((apart - SAME) / (OTHER - SAME), 0.0, 1.0)
    shares.append(near[beyond].mean() if beyond.any() else 1.0)
    if np.linalg.norm(stroke.chroma) < GREY:
      continue
    nearer = np.linalg.norm(plain - wanted, axis=-1) - apart
    shift = np.maximum(shift, nearer)
    ran_over |= (nearer > MOVED) & (apart < NEAR)
  outside = ~(objects | is_given)
  ran_over &= outside
  is_much = ran_over.sum() >= max(2, MIN_OVERRUN * ran_over.size)
  return PinScore(
    taken=float(np.mean(shares)),
    spill=float(shift[outside].mean()) if outside.any() else 0.0,
    overrun=_middle(ran_over) if is_much else None,
  )
