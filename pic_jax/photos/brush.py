"""Brushes, which spread a hint to the cells around it, up to edges.

One cell of a chroma map is smaller than an object. If a model is given the
colour of a single cell, it often leaves the rest of the object unchanged.
"""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from pic_jax.images import any_shape

# Largest distance to which a brush of each size reaches, in units of L; see
# `distances`.
REACHES = {'S': 3.0, 'M': 48.0, 'L': 61.0}
DEFAULT_SIZE = 'M'
# Outer part of a hint's reach, as a fraction of the reach. There the hint fades
# into the chroma that the sample has without hints. Otherwise the end of the
# reach would be a visible edge within a large object.
FADE = 0.13
# If n hints of one chroma meet, their reach is divided by n ** SHARING; see
# `reaches`.
SHARING = 0.55
# Radius of a disc around a hint, as a fraction of the short side. Distances in
# the disc are 0, because the luminance of a single pixel may be untypical.
SPOT = 0.03
# Side of the windows of a median filter, as a fraction of the short side. The
# filter removes texture and grain before paths are measured, and keeps edges.
# Without it, all paths over grass, fur or film grain would be costly.
MEDIAN = 0.03
# Cost of a path over even luminance, in units of L per short side of the map.
LENGTH_COST = 60.0
# Steps of a path, as (rows down, columns to the right). Each step may also be
# taken backwards.
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


class Stroke(NamedTuple):
  """A hint with its brush.

  Attributes:
    row, column: position of the hint, in pixels of the map of luminance for
      brushes (see `network_size.brush_luminance`).
    chroma: (a, b) of the hint in Lab units.
    size: size of the brush, a key of `REACHES` or '' for `DEFAULT_SIZE`.
  """

  row: int
  column: int
  chroma: tuple[float, float]
  size: str = ''


def _step_ends(side: int, shift: int) -> tuple[slice, slice]:
  """Returns where steps along one side of a map can start and end.

  Args:
    side: length of the side.
    shift: length of the step, possibly negative.

  Returns:
    Slice of the indices from which a step stays on the map, and slice of the
    indices to which the step leads.
  """
  start = slice(max(0, -shift), side - max(0, shift))
  return start, slice(start.start + shift, start.stop + shift)


def _without_texture(luminance: np.ndarray) -> np.ndarray:
  """Filters luminance [H, W] by the median of windows; see `MEDIAN`."""
  side = 2 * round(MEDIAN * min(luminance.shape) / 2) + 1
  image = Image.fromarray(luminance.astype(np.float32))
  return np.asarray(image.filter(ImageFilter.MedianFilter(side)))


def distances(
  stroke: Stroke, luminance: np.ndarray, cell_side: int = 1
) -> np.ndarray:
  """Computes the distance of each cell from a hint.

  The distance is the cost of the cheapest path: the sum of the absolute changes
  of L along the path, plus `LENGTH_COST` times its length in short sides of the
  map. So crossing an edge costs as much as a long path without edges. Texture
  is removed from the luminance first.

  Args:
    stroke: the hint.
    luminance: [cell_side h, cell_side w] L in 0..100.
    cell_side: side of a cell in pixels of `luminance`.

  Returns:
    [h, w] median of the distances of the cell's pixels, in units of L. Pixels
    within `SPOT` of the hint have a distance of 0, and so has the hint's cell.
  """
  luminance = np.ascontiguousarray(luminance, np.float32)
  position = stroke.row, stroke.column
  return _distances(
    position, luminance.tobytes(), luminance.shape, cell_side=cell_side
  ).copy()


# The brush, the anchors and the page's scores ask for the same distances.
# Computing these takes longer than all the rest of their work.
@functools.lru_cache(maxsize=32)
def _distances(
  position: tuple[int, int],
  luminance_bytes: bytes,
  shape: tuple[int, int],
  *,
  cell_side: int,
) -> np.ndarray:
  """Computes `distances` from hashable arguments, for the cache.

  Args:
    position: row and column of the hint.
    luminance_bytes: the luminance as the bytes of a float32 array.
    shape: shape of the luminance.
    cell_side: see `distances`.
  """
  height, width = shape
  luminance = _without_texture(
    np.frombuffer(luminance_bytes, np.float32).reshape(shape)
  )
  steps = []
  for down, right in STEPS:
    start_rows, end_rows = _step_ends(height, down)
    start_columns, end_columns = _step_ends(width, right)
    start, end = (start_rows, start_columns), (end_rows, end_columns)
    length = np.hypot(down, right) / min(height, width)
    change = np.abs(luminance[start] - luminance[end])
    steps.append((start, end, change + LENGTH_COST * length))
  rows, columns = np.ogrid[:height, :width]
  radius = np.hypot(rows - position[0], columns - position[1])
  distance = np.where(radius <= SPOT * min(height, width), 0.0, np.inf)
  # Bellman-Ford: tries all steps until no distance becomes smaller.
  previous = None
  while previous is None or (distance < previous).any():
    previous = distance.copy()
    for start, end, cost in steps:
      distance[end] = np.minimum(distance[end], distance[start] + cost)
      distance[start] = np.minimum(distance[start], distance[end] + cost)
  distance = np.median(in_cells(distance, cell_side), (1, 3))
  distance[position[0] // cell_side, position[1] // cell_side] = 0.0
  return distance


def in_cells(x: np.ndarray, cell_side: int) -> np.ndarray:
  """Reshapes [cell_side h, cell_side w] to [h, cell_side, w, cell_side]."""
  height, width = x.shape
  return x.reshape(
    height // cell_side, cell_side, width // cell_side, cell_side
  )


def reaches(
  strokes: list[Stroke], luminance: np.ndarray, cell_side: int = 1
) -> list[tuple[np.ndarray, float]]:
  """Computes how far every hint reaches.

  Hints meet if their distance is at most twice the reach of their brush. If n
  hints of one chroma meet, each reaches less far (see `SHARING`), so together
  they reach about as many cells as a single hint would. Those cells are closer
  to a hint, and therefore more likely to belong to the object.

  Args:
    strokes: the hints.
    luminance: [cell_side h, cell_side w] L in 0..100.
    cell_side: side of a cell in pixels of `luminance`.

  Returns:
    For each hint, the `distances` of all cells and the largest distance that
    the hint reaches.
  """
  distances_and_reaches = []
  for stroke in strokes:
    distance = distances(stroke, luminance, cell_side)
    reach = REACHES[stroke.size or DEFAULT_SIZE]
    num_meeting = sum(  # including the hint itself
      other.chroma == stroke.chroma
      and distance[other.row // cell_side, other.column // cell_side]
      <= 2 * reach
      for other in strokes
    )
    distances_and_reaches.append((distance, reach / num_meeting**SHARING))
  return distances_and_reaches


class Painted(NamedTuple):
  """Hints that are painted onto a map of cells.

  Attributes:
    chroma: [h, w, 2] chroma of the hints in Lab units, moved towards grey where
      sRGB has no such colour at the luminance of the cell, and 0 where no hint
      reaches.
    is_reached: [h, w] bool, True where a hint reaches.
    weights: [h, w] weight of `chroma`, from 1 near a hint to 0 at the end of
      its reach. If several hints reach a cell, their largest weight counts. The
      chroma of the sample without hints has the weight 1 - `weights`.
  """

  chroma: np.ndarray
  is_reached: np.ndarray
  weights: np.ndarray


def paint(
  strokes: list[Stroke], luminance: np.ndarray, cell_side: int = 1
) -> Painted:
  """Computes the chroma that hints give to the cells around them.

  A cell that several hints reach gets the chroma of the nearest hint. Among
  equally near hints the last one counts.

  Args:
    strokes: the hints.
    luminance: [cell_side h, cell_side w] L in 0..100.
    cell_side: side of a cell in pixels of `luminance`.
  """
  cell_luminance = in_cells(luminance, cell_side).mean((1, 3))
  shape = cell_luminance.shape
  chroma = np.zeros((*shape, 2), np.float32)
  nearest = np.full(shape, np.inf)  # distance from the nearest hint
  weights = np.zeros(shape)
  for stroke, (distance, reach) in zip(
    strokes, reaches(strokes, luminance, cell_side), strict=True
  ):
    is_reached = distance <= np.minimum(nearest, reach)
    chroma[is_reached] = stroke.chroma
    nearest[is_reached] = distance[is_reached]
    fade = np.clip((reach - distance) / (FADE * reach), 0.0, 1.0)
    # Where a hint fades within the reach of another hint, the chroma of the
    # sample without hints must not show between them.
    weights = np.maximum(weights, fade)
  lab = np.concatenate([cell_luminance[..., None], chroma], -1)
  lab = lab.astype(np.float32)
  return Painted(
    any_shape.within_gamut(lab)[..., 1:], np.isfinite(nearest), weights
  )
