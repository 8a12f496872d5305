"""A small chroma map on the full luminance of a photograph, strip by strip.

The network gives chroma on a small grid (paper sec. 3.3); the photograph has
its own luminance, at any ratio of the sides. As in the guided filter (He et
al. 2013; He & Sun 2015), chroma is locally a linear function of luminance,
fitted on the small grid.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color

METHODS = ('guided', 'bilinear')
# epsilon of He et al. 2013, eq. (5), in squared units of L: where luminance
# varies less than its root, 7, chroma hardly follows it. From 32 to 128, errors
# on photographs, with 16 or 32 cells per side, differ by less than 3 %.
EPSILON = 50.0
# With 6,000 pixels in a row, the arrays of one strip take about 100 MB.
STRIP_ROWS = 256


class Maps(NamedTuple):
  """What the rows of a photograph are made of, at its full width.

  chroma: [h, W, 2] in Lab units.
  luminance: [h, W, 1], L in 0..100.
  slope: [h, W, 2], units of a and b per unit of L.
  low, high: [h, W, 2], range of the chroma around, in Lab units.
  cell_parts: [] int32; a value stands in the middle of the first one of the
    so many equal parts of its cell, in each direction.
  """

  chroma: jax.Array
  luminance: jax.Array
  slope: jax.Array
  low: jax.Array
  high: jax.Array
  cell_parts: jax.Array


def _interpolate(
  x: jax.Array,
  axis: int,
  first: int | jax.Array,
  count: int,
  total: int | jax.Array,
  cell_parts: int | jax.Array,
) -> jax.Array:
  """Interpolates linearly at `count` of `total` pixels, edges repeated."""
  size = x.shape[axis]
  # In integers, so that a pixel's weights do not depend on its strip.
  cell = 2 * cell_parts * total
  centre = (2 * (first + jnp.arange(count)) + 1) * cell_parts * size
  position = jnp.clip(centre - total, 0, (size - 1) * cell)
  lower = position // cell
  shape = [1, 1, 1]
  shape[axis] = count
  weight = (position % cell * (1.0 / cell)).reshape(shape)
  start = jnp.take(x, lower, axis)
  stop = jnp.take(x, jnp.minimum(lower + 1, size - 1), axis)
  return start + weight * (stop - start)


def _windows(x: jax.Array) -> jax.Array:
  """The 3 x 3 values [9, h, w, C] around each of [h, w, C], edges repeated."""
  height, width, _ = x.shape
  padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), 'edge')
  return jnp.stack(
    [
      padded[row : row + height, col : col + width]
      for row in range(3)
      for col in range(3)
    ]
  )


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5))
def prepare(
  chroma: jax.Array,
  luminance: jax.Array,
  width: int,
  factor: int,
  chroma_filter: str,
  method: str = 'guided',
) -> Maps:
  """Fits chroma to luminance on the small grid, and widens the result.

  *Differs from* He & Sun 2015, whose chroma is the mean of the fits around and
  therefore blurred: here only the slope is their mean, and it scales only what
  luminance has beyond its own interpolation. Where that is nothing, chroma is
  interpolated, too.

  Args:
    chroma: [h, w, 2] in Lab units.
    luminance: [h, w, 1], L in 0..100, subsampled as `chroma` was.
    width: W of the photograph.
    factor: ratio of the network's luminance to `chroma`. The photograph was
      scaled to (h * factor, w * factor) for it.
    chroma_filter: the filter of the subsampling, see `color.upsample`.
    method: 'guided', or 'bilinear', which ignores luminance.

  Returns:
    Maps for `upsample_rows`.
  """
  if method not in METHODS:
    raise ValueError(f'`method` must be one of {METHODS}, got {method!r}.')
  if chroma_filter not in color.CHROMA_FILTERS:
    raise ValueError(
      f'`chroma_filter` must be one of {color.CHROMA_FILTERS}, got '
      f'{chroma_filter!r}.'
    )
  chroma_windows, luminance_windows = _windows(chroma), _windows(luminance)
  if method == 'guided':
    deviation = luminance_windows - luminance_windows.mean(0, keepdims=True)
    covariance = (deviation * chroma_windows).mean(0)
    slope = covariance / ((deviation**2).mean(0) + EPSILON)
    slope = _windows(slope).mean(0)
  else:
    slope = jnp.zeros_like(chroma)
  # 'point' took one pixel of the scaled photograph, of factor in a cell.
  cell_parts = 1 if chroma_filter == 'area' else factor
  maps = (
    chroma,
    luminance,
    slope,
    chroma_windows.min(0),
    chroma_windows.max(0),
  )
  wide = [_interpolate(x, 1, 0, width, width, cell_parts) for x in maps]
  return Maps(*wide, jnp.int32(cell_parts))


@jax.jit
def upsample_rows(
  maps: Maps,
  luminance: jax.Array,
  first_row: int | jax.Array,
  height: int | jax.Array,
) -> jax.Array:
  """Gives some rows of a photograph their chroma.

  Args:
    maps: from `prepare`.
    luminance: [R, W, 1], these rows of the photograph's L, in 0..100.
    first_row: number of their first.
    height: H of the photograph.

  Returns:
    [R, W, 2] in Lab units.
  """

  def rows_of(x: jax.Array) -> jax.Array:
    return _interpolate(
      x, 0, first_row, luminance.shape[0], height, maps.cell_parts
    )

  detail = luminance - rows_of(maps.luminance)
  chroma = rows_of(maps.chroma) + rows_of(maps.slope) * detail
  return jnp.clip(chroma, rows_of(maps.low), rows_of(maps.high))


def strips(height: int, num_rows: int = STRIP_ROWS) -> list[slice]:
  """Covers rows by slices of one length: the last two may overlap."""
  num_rows = min(num_rows, height)
  firsts = [*range(0, height - num_rows, num_rows), height - num_rows]
  return [slice(first, first + num_rows) for first in firsts]


def upsample(
  chroma: jax.Array,
  luminance_small: jax.Array,
  luminance: np.ndarray,
  factor: int,
  chroma_filter: str,
  method: str = 'guided',
) -> np.ndarray:
  """Upsamples chroma to a photograph, one strip on the device at a time.

  Args:
    chroma: [h, w, 2] in Lab units.
    luminance_small: [h, w, 1], L in 0..100, subsampled as `chroma` was.
    luminance: [H, W, 1], L in 0..100; any H and W.
    factor: see `prepare`.
    chroma_filter: see `prepare`.
    method: see `prepare`.

  Returns:
    [H, W, 2] in Lab units.
  """
  height, width, _ = luminance.shape
  maps = prepare(chroma, luminance_small, width, factor, chroma_filter, method)
  full = np.empty((height, width, 2), np.float32)
  for rows in strips(height):
    full[rows] = upsample_rows(maps, luminance[rows], rows.start, height)
  return full
