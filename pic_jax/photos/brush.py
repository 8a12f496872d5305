"""Brushes: a hint covers connected cells of similar luminance around it.

One cell of a chroma map is smaller than an object, and a model that knows one
cell often leaves the rest of the object unchanged.
"""

import collections
from typing import NamedTuple

import numpy as np

from pic_jax.images import any_shape

# Radius of each size, as a share of the map's short side. With 16 cells there,
# at most 1, 37 and 69 cells are given; with 64 cells 9, 509 and 1153.
RADII = {'S': 0.03, 'M': 0.2, 'L': 0.3}
DEFAULT_SIZE = 'M'
TOLERANCE = 10.0  # units of L


class Stroke(NamedTuple):
  """One hint on the chroma map.

  Attributes:
    row, column: its own cell.
    chroma: (a, b) in Lab units.
    size: a key of `RADII`, or '' for `DEFAULT_SIZE`.
  """

  row: int
  column: int
  chroma: tuple[float, float]
  size: str = ''


def distances(stroke: Stroke, shape: tuple[int, int]) -> np.ndarray:
  """[h, w] distances from a hint's own cell, in cells."""
  rows, columns = np.ogrid[: shape[0], : shape[1]]
  return np.hypot(rows - stroke.row, columns - stroke.column)


def _connected(is_like: np.ndarray, row: int, column: int) -> np.ndarray:
  """[h, w] bool: cells that are connected to one by cells `is_like`."""
  height, width = is_like.shape
  found = np.zeros_like(is_like)
  waiting = collections.deque([(row, column)])
  while waiting:
    row, column = waiting.popleft()
    is_inside = 0 <= row < height and 0 <= column < width
    if is_inside and is_like[row, column] and not found[row, column]:
      found[row, column] = True
      waiting += [
        (row + down, column + right)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
      ]
  return found


def cells_of(stroke: Stroke, luminance: np.ndarray) -> np.ndarray:
  """Cells that a hint gives, [h, w] bool; see `cells_within`."""
  radius = RADII[stroke.size or DEFAULT_SIZE]
  return cells_within(stroke, luminance, radius)


def cells_within(
  stroke: Stroke,
  luminance: np.ndarray,
  radius: float,
  *,
  tolerance: float = TOLERANCE,
) -> np.ndarray:
  """Cells that are as light as a hint's own and connected to it.

  Their L differs by at most `tolerance` from the median within a brush S around
  the hint: on a fine map one cell alone is noisy. The hint's own cell is always
  one of them.

  Args:
    stroke: the hint.
    luminance: [h, w] L of the cells, 0..100.
    radius: how far to look, as a share of the short side.
    tolerance: units of L.

  Returns:
    [h, w] bool.
  """
  short, distance = min(luminance.shape), distances(stroke, luminance.shape)
  own = np.median(luminance[distance <= RADII['S'] * short])
  is_near = distance <= radius * short
  is_like = is_near & (np.abs(luminance - own) <= tolerance)
  is_like[stroke.row, stroke.column] = True
  return _connected(is_like, stroke.row, stroke.column)


def paint(
  strokes: list[Stroke], luminance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Chroma of the cells that hints give.

  A cell that several hints reach takes the chroma of the nearest one; among
  equally near ones, that of the last.

  Args:
    strokes: the hints.
    luminance: [h, w] L of the cells, 0..100.

  Returns:
    [h, w, 2] Lab units, of the hints' hues and as far from grey as sRGB has
    them at each cell's own luminance; and [h, w] bool, which cells are given.
  """
  chroma = np.zeros((*luminance.shape, 2), np.float32)
  nearest = np.full(luminance.shape, np.inf)
  for stroke in strokes:
    distance = distances(stroke, luminance.shape)
    is_reached = cells_of(stroke, luminance) & (distance <= nearest)
    chroma[is_reached] = stroke.chroma
    nearest[is_reached] = distance[is_reached]
  lab = np.concatenate([luminance[..., None], chroma], -1).astype(np.float32)
  return any_shape.within_gamut(lab)[..., 1:], np.isfinite(nearest)
