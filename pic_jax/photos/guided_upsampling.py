"""Upsampling of chroma along the edges of a photograph, strip by strip.

The network produces chroma on a small grid (paper sec. 3.3). The photograph has
luminance at full resolution, and its sides need not be multiples of the sides
of the grid. As in the guided filter (He et al. 2013; He & Sun 2015), chroma is
modelled as a locally linear function of luminance. The function is fitted on
the small grid.

The code uses numpy, because JAX would compile a program for each size of a
photograph, which takes seconds and 50 MB.
"""

from typing import NamedTuple

import numpy as np

from pic_jax.images import color

# epsilon of He et al. 2013, eq. (5), in squared units of L. Where the standard
# deviation of L is below sqrt(epsilon) = 7, chroma hardly follows luminance. On
# photographs with 16 or 32 cells per side, values from 32 to 128 give errors
# that differ by less than 3 %.
EPSILON = np.float32(50.0)


class Maps(NamedTuple):
  """Maps that have been upsampled to full width, but not to full height.

  Attributes:
    chroma: [h, W, 2] in Lab units.
    luminance: [h, W, 1] L in 0..100.
    slope: [h, W, 2] change of a and b for a change of L by 1.
    low, high: [h, W, 2] smallest and largest chroma among the 3 x 3 cells
      around each cell, in Lab units.
    cell_parts: number of equal parts into which the side of a cell is divided.
      The value of a cell belongs to the centre of its first part. With one
      part, that is the centre of the cell.
  """

  chroma: np.ndarray
  luminance: np.ndarray
  slope: np.ndarray
  low: np.ndarray
  high: np.ndarray
  cell_parts: int


def _interpolate(
  x: np.ndarray,
  axis: int,
  pixels: np.ndarray,
  *,
  num_pixels: int,
  cell_parts: int,
) -> np.ndarray:
  """Interpolates linearly along one axis, with edges repeated.

  Args:
    x: array with three axes.
    axis: axis of `x` whose cells are upsampled.
    pixels: indices of the wanted pixels along this axis.
    num_pixels: number of pixels along this axis of the whole photograph.
    cell_parts: see `Maps`.
  """
  num_cells = x.shape[axis]
  # Lengths are counted in a unit in which they are integers, so a pixel has the
  # same weights in any strip. In this unit, half a part of a cell is
  # `num_pixels` long.
  half_part = num_pixels
  cell = 2 * cell_parts * half_part
  pixel_centre = (2 * pixels + 1) * cell_parts * num_cells
  # Distance of the pixel from the point to which the first value belongs.
  position = np.clip(pixel_centre - half_part, 0, (num_cells - 1) * cell)
  lower = position // cell
  shape = [1, 1, 1]
  shape[axis] = len(pixels)
  weight = (position % cell).astype(np.float32) * np.float32(1.0 / cell)
  value = np.take(x, lower, axis)
  next_value = np.take(x, np.minimum(lower + 1, num_cells - 1), axis)
  return value + weight.reshape(shape) * (next_value - value)


def _windows(x: np.ndarray) -> np.ndarray:
  """Returns the 3 x 3 values around each cell, with edges repeated.

  Args:
    x: [h, w, C].

  Returns:
    [9, h, w, C].
  """
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
  """Fits chroma to luminance on the small grid, and upsamples to full width.

  *Differs from* He & Sun 2015, who average the fits of nearby windows, which
  blurs chroma. Here only the slopes of the fits are averaged. `upsample_rows`
  adds the slope times the detail of luminance to the linearly interpolated
  chroma. Detail is the difference between luminance and its own interpolation.

  Args:
    chroma: [h, w, 2] float32 in Lab units.
    luminance: [h, w, 1] float32 L in 0..100, subsampled like the chroma.
    width: number of columns W of the whole photograph.
    factor: side of a cell in pixels of the network's luminance. The network has
      seen the photograph at (h * factor, w * factor) pixels.
    chroma_filter: filter of the subsampling, see `color.upsample`.
    columns: [W'] indices of the wanted columns; None for all W columns.

  Returns:
    Maps for `upsample_rows`, of width W' if `columns` are given.
  """
  color.check_filter(chroma_filter)
  chroma_windows, luminance_windows = _windows(chroma), _windows(luminance)
  deviation = luminance_windows - luminance_windows.mean(0, keepdims=True)
  covariance = (deviation * chroma_windows).mean(0)
  slope = covariance / ((deviation**2).mean(0) + EPSILON)
  # With the filter 'point', a value belongs to the first pixel of its cell,
  # which is `factor` pixels wide. With 'area', it belongs to the whole cell.
  cell_parts = 1 if chroma_filter == 'area' else factor
  limits = chroma_windows.min(0), chroma_windows.max(0)
  maps = chroma, luminance, _windows(slope).mean(0), *limits
  if columns is None:
    columns = np.arange(width)
  wide = [
    _interpolate(x, 1, columns, num_pixels=width, cell_parts=cell_parts)
    for x in maps
  ]
  return Maps(*wide, cell_parts=cell_parts)


def upsample_rows(
  maps: Maps, luminance: np.ndarray, first_row: int, *, height: int
) -> np.ndarray:
  """Computes the chroma of some rows of a photograph.

  The chroma of a pixel stays within the range of the cells around it.

  Args:
    maps: maps from `prepare`.
    luminance: [R, W, 1] float32 L in 0..100 of R successive rows; W is the
      width of the maps.
    first_row: index of the first of these rows.
    height: number of rows H of the whole photograph.

  Returns:
    [R, W, 2] float32 in Lab units.
  """
  rows = first_row + np.arange(len(luminance))

  def interpolate(x: np.ndarray) -> np.ndarray:
    return _interpolate(
      x, 0, rows, num_pixels=height, cell_parts=maps.cell_parts
    )

  detail = luminance - interpolate(maps.luminance)
  chroma = interpolate(maps.chroma) + interpolate(maps.slope) * detail
  return np.clip(chroma, interpolate(maps.low), interpolate(maps.high))
