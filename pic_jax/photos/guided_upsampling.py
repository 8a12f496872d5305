"""Upsampling of chroma along the edges of a photograph, strip by strip.

The network gives chroma on a small grid (paper sec. 3.3); the photograph has
its own luminance, at any ratio of the sides. As in the guided filter (He et
al. 2013; He & Sun 2015), chroma is locally a linear function of luminance,
fitted on the small grid. In numpy: a compiled program for every size of a
photograph would cost seconds and 50 MB each.
"""

from typing import NamedTuple

import numpy as np

from pic_jax.images import color

# epsilon of He et al. 2013, eq. (5), in squared units of L: where luminance
# varies less than its root, 7, chroma hardly follows it. From 32 to 128, errors
# on photographs, with 16 or 32 cells per side, differ by less than 3 %.
EPSILON = np.float32(50.0)


class Maps(NamedTuple):
  """Coefficient maps at full width, from which rows are upsampled.

  chroma: [h, W, 2] in Lab units.
  luminance: [h, W, 1], L in 0..100.
  slope: [h, W, 2], units of a and b per unit of L.
  low, high: [h, W, 2], range of the chroma around, in Lab units.
  cell_parts: parts into which each side of a cell is divided; its value
    belongs to the middle of the first one.
  """

  chroma: np.ndarray
  luminance: np.ndarray
  slope: np.ndarray
  low: np.ndarray
  high: np.ndarray
  cell_parts: int


def _interpolate(
  x: np.ndarray, axis: int, pixels: np.ndarray, *, total: int, cell_parts: int
) -> np.ndarray:
  """Interpolates linearly at some of `total` pixels, edges repeated."""
  size = x.shape[axis]
  # In integers, so that a pixel's weights do not depend on its strip.
  cell = 2 * cell_parts * total
  centre = (2 * pixels + 1) * cell_parts * size
  position = np.clip(centre - total, 0, (size - 1) * cell)
  lower = position // cell
  shape = [1, 1, 1]
  shape[axis] = len(pixels)
  weight = (position % cell).astype(np.float32) * np.float32(1.0 / cell)
  start = np.take(x, lower, axis)
  stop = np.take(x, np.minimum(lower + 1, size - 1), axis)
  return start + weight.reshape(shape) * (stop - start)


def _windows(x: np.ndarray) -> np.ndarray:
  """The 3 x 3 values [9, h, w, C] around each of [h, w, C], edges repeated."""
  height, width, _ = x.shape
  padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), 'edge')
  return np.stack(
    [
      padded[row : row + height, col : col + width]
      for row in range(3)
      for col in range(3)
    ]
  )


def prepare(
  chroma: np.ndarray,
  luminance: np.ndarray,
  width: int,
  *,
  factor: int,
  chroma_filter: str,
  columns: np.ndarray | None = None,
) -> Maps:
  """Fits chroma to luminance on the small grid, and widens the result.

  *Differs from* He & Sun 2015, whose chroma is the mean of the fits around and
  therefore blurred: here only the slope is their mean, and it scales only what
  luminance has beyond its own interpolation. Where that is nothing, chroma is
  interpolated, too.

  Args:
    chroma: [h, w, 2] float32 in Lab units.
    luminance: [h, w, 1] float32, L in 0..100, subsampled as `chroma` was.
    width: W of the photograph.
    factor: ratio of the network's luminance to `chroma`. The photograph was
      scaled to (h * factor, w * factor) for it.
    chroma_filter: the filter of the subsampling, see `color.upsample`.
    columns: [C] of the photograph, which the maps are for; None for all.

  Returns:
    Maps for `upsample_rows`.
  """
  color.check_filter(chroma_filter)
  chroma_windows, luminance_windows = _windows(chroma), _windows(luminance)
  deviation = luminance_windows - luminance_windows.mean(0, keepdims=True)
  covariance = (deviation * chroma_windows).mean(0)
  slope = covariance / ((deviation**2).mean(0) + EPSILON)
  # 'point' took one pixel of the scaled photograph, of factor in a cell.
  cell_parts = 1 if chroma_filter == 'area' else factor
  ends = chroma_windows.min(0), chroma_windows.max(0)
  maps = chroma, luminance, _windows(slope).mean(0), *ends
  if columns is None:
    columns = np.arange(width)
  wide = [
    _interpolate(x, 1, columns, total=width, cell_parts=cell_parts)
    for x in maps
  ]
  return Maps(*wide, cell_parts)


def upsample_rows(
  maps: Maps, luminance: np.ndarray, first_row: int, *, height: int
) -> np.ndarray:
  """Gives some rows of a photograph their chroma.

  Args:
    maps: from `prepare`.
    luminance: [R, W, 1] float32, these rows of the photograph's L, in 0..100.
    first_row: number of their first.
    height: H of the photograph.

  Returns:
    [R, W, 2] float32 in Lab units.
  """
  rows = first_row + np.arange(len(luminance))

  def rows_of(x: np.ndarray) -> np.ndarray:
    return _interpolate(x, 0, rows, total=height, cell_parts=maps.cell_parts)

  detail = luminance - rows_of(maps.luminance)
  chroma = rows_of(maps.chroma) + rows_of(maps.slope) * detail
  return np.clip(chroma, rows_of(maps.low), rows_of(maps.high))
