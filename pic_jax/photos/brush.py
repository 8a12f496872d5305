"""Brushes: a hint covers the cells around it, as far as no edge is between.

One cell of a chroma map is smaller than an object, and a model that knows one
cell often leaves the rest of the object unchanged.
"""

from typing import NamedTuple

import numpy as np

from pic_jax.images import any_shape

# How far each size reaches, see `distances`.
REACHES = {'S': 3.0, 'M': 44.0, 'L': 56.0}
DEFAULT_SIZE = 'M'
# Radius of a hint itself, as a share of the short side: on a fine map one cell
# alone is noisy.
SPOT = 0.03
STEP = 60.0  # units of L: what the short side of even luminance costs
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows down, columns right


class Stroke(NamedTuple):
  """One hint.

  Attributes:
    row, column: its place on a map of luminance.
    chroma: (a, b) in Lab units.
    size: a key of `REACHES`, or '' for `DEFAULT_SIZE`.
  """

  row: int
  column: int
  chroma: tuple[float, float]
  size: str = ''


def _overlap(side: int, shift: int) -> tuple[slice, slice]:
  """Places of a side, and those so much further on, that both exist."""
  first = slice(max(0, -shift), side - max(0, shift))
  return first, slice(first.start + shift, first.stop + shift)


def distances(
  stroke: Stroke, luminance: np.ndarray, parts: int = 1
) -> np.ndarray:
  """How far cells are from a hint, by the cheapest way there.

  A way costs the changes of L along it, and `STEP` for each short side of its
  length: an edge is as far as a long way around it.

  Args:
    stroke: the hint.
    luminance: [parts h, parts w], L 0..100.
    parts: of a cell's side; a cell is as far as the median of its parts.

  Returns:
    [h, w] in units of L; 0 in the hint's own cell, and less than `SPOT` away.
  """
  height, width = luminance.shape
  edges = []
  for down, right in NEIGHBOURS:
    rows, columns = _overlap(height, down), _overlap(width, right)
    start, stop = (rows[0], columns[0]), (rows[1], columns[1])
    length = np.hypot(down, right) / min(height, width)
    change = np.abs(luminance[start] - luminance[stop])
    edges.append((start, stop, change + STEP * length))
  rows, columns = np.ogrid[:height, :width]
  apart = np.hypot(rows - stroke.row, columns - stroke.column)
  found = np.where(apart <= SPOT * min(height, width), 0.0, np.inf)
  before = None
  while before is None or (found < before).any():
    before = found.copy()
    for start, stop, cost in edges:
      found[stop] = np.minimum(found[stop], found[start] + cost)
      found[start] = np.minimum(found[start], found[stop] + cost)
  found = np.median(in_cells(found, parts), (1, 3))
  found[stroke.row // parts, stroke.column // parts] = 0.0
  return found


def in_cells(x: np.ndarray, parts: int) -> np.ndarray:
  """[parts h, parts w] -> [h, parts, w, parts]."""
  height, width = x.shape
  return x.reshape(height // parts, parts, width // parts, parts)


def paint(
  strokes: list[Stroke], luminance: np.ndarray, parts: int = 1
) -> tuple[np.ndarray, np.ndarray]:
  """Chroma of the cells that hints give.

  Hints of one chroma that meet share their reach: n of them give about as many
  cells as one, with less guessing. A cell that several hints reach takes the
  chroma of the nearest one; among equally near ones, that of the last.

  Args:
    strokes: the hints.
    luminance: [parts h, parts w], L 0..100.
    parts: of a cell's side.

  Returns:
    [h, w, 2] Lab units, of the hints' hues and as far from grey as sRGB has
    them at each cell's own luminance; and [h, w] bool, which cells are given.
  """
  cells = in_cells(luminance, parts).mean((1, 3))
  chroma = np.zeros((*cells.shape, 2), np.float32)
  nearest = np.full(cells.shape, np.inf)
  for stroke in strokes:
    distance = distances(stroke, luminance, parts)
    reach = REACHES[stroke.size or DEFAULT_SIZE]
    num_meeting = sum(
      other.chroma == stroke.chroma
      and distance[other.row // parts, other.column // parts] <= 2 * reach
      for other in strokes
    )
    is_reached = distance <= np.minimum(nearest, reach / num_meeting**0.5)
    chroma[is_reached] = stroke.chroma
    nearest[is_reached] = distance[is_reached]
  lab = np.concatenate([cells[..., None], chroma], -1).astype(np.float32)
  return any_shape.within_gamut(lab)[..., 1:], np.isfinite(nearest)
