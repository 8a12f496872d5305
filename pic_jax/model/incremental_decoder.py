"""Decoding pixel by pixel with cached activations (paper sec. 3.2).

Every layer computes every pixel only once. Results that do not depend on
sampled pixels are computed once per image; results that depend only on earlier
rows are computed once per row. `causal_conv` and `causal_attention` define the
caches. The scans are in plain functions, because a raw `lax.scan` inside a
linen method silently gives wrong values.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from pic_jax.model import causal_decoder, coarse_first_decoder, parameters

# Function that determines a pixel: (theta [N, P], row, col) -> (values [N, C]
# of the pixel, tree of arrays that `decode` collects).
PixelFn = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
# Function that calls a method of the decoder: (cache, *args, method, **kwargs)
# -> (output, new cache).
StepFn = Callable[..., tuple[Any, Any]]


def decode(
  decoder: causal_decoder.CausalDecoder
  | coarse_first_decoder.CoarseFirstDecoder,
  params: parameters.Params,
  embedding: jax.Array,
  *,
  pixel_fn: PixelFn,
  num_samples: int = 1,
  hints: jax.Array | None = None,
) -> tuple[jax.Array, Any]:
  """Fills canvases pixel by pixel, in the order of the decoder.

  Args:
    decoder: unbound module.
    params: parameters of the decoder.
    embedding: [B, h, w, E].
    pixel_fn: function of (theta [N, P], row, col) that returns the values
      [N, C] of the pixel in network units, and a tree of arrays [...] to
      collect.
    num_samples: number S of canvases for each image. There are N = B * S
      canvases, and those of one image are next to each other.
    hints: [B, h, w, 3] known chroma for the attention, or None. For hinted
      pixels, `pixel_fn` must return the known chroma.

  Returns:
    The canvases [N, h, w, C], and the tree of collected arrays [h, w, ...].
  """
  is_raster = isinstance(decoder, causal_decoder.CausalDecoder)
  decode_fn: Callable[..., tuple[jax.Array, Any]]
  decode_fn = _decode_raster if is_raster else _decode_coarse_first
  return decode_fn(
    decoder,
    params,
    embedding,
    pixel_fn=pixel_fn,
    num_samples=num_samples,
    hints=hints,
  )


def _decode_raster(
  decoder: causal_decoder.CausalDecoder,
  params: parameters.Params,
  embedding: jax.Array,
  *,
  pixel_fn: PixelFn,
  num_samples: int,
  hints: jax.Array | None,
) -> tuple[jax.Array, Any]:
  """Fills canvases in raster order; see `decode`."""
  batch, height, width, _ = embedding.shape
  num_canvases = batch * num_samples
  conditioning, variables = decoder.apply(
    {'params': params},
    embedding,
    num_canvases,
    hints,
    method='start',
    mutable=['cache', 'constants'],
  )

  def step_fn(
    cache: Any, *args: Any, method: str, **kwargs: Any
  ) -> tuple[Any, Any]:
    output, updates = decoder.apply(
      {'constants': variables['constants'], 'cache': cache},
      *args,
      method=method,
      mutable=['cache'],
      **kwargs,
    )
    return output, updates['cache']

  by_row = jax.tree.map(
    lambda x: jnp.moveaxis(x, 1, 0)[:, :, None], conditioning
  )  # [h, B, 1, w, F]
  zeros = jnp.zeros((num_canvases, 1, width, decoder.features), jnp.float32)
  _, (canvas, collected) = jax.lax.scan(
    functools.partial(
      _row_step, step_fn=step_fn, pixel_fn=pixel_fn, num_samples=num_samples
    ),
    (variables['cache'], zeros, zeros),
    (jnp.arange(height), *by_row),
  )
  return jnp.moveaxis(canvas, 0, 1), collected


def _decode_coarse_first(
  decoder: coarse_first_decoder.CoarseFirstDecoder,
  params: parameters.Params,
  embedding: jax.Array,
  *,
  pixel_fn: PixelFn,
  num_samples: int,
  hints: jax.Array | None,
) -> tuple[jax.Array, Any]:
  """Fills the lattice of the canvases, then the rest; see `decode`.

  The terms are those of `coarse_first_decoder`.
  """
  apply_fn = functools.partial(decoder.apply, {'params': params})
  shape = embedding.shape[1], embedding.shape[2]
  reduced = apply_fn(embedding, method='reduce')
  if hints is not None:
    hints = coarse_first_decoder.to_lattice(hints)
  lattice, lattice_collected = decode(
    decoder.build_lattice(),
    params['lattice'],
    reduced,
    pixel_fn=lambda theta, row, col: pixel_fn(theta, 2 * row, 2 * col),
    num_samples=num_samples,
    hints=hints,
  )

  repeated = jnp.repeat(reduced, num_samples, 0)
  rest, rest_collected = decode(
    decoder.build_rest(),
    params['rest'],
    apply_fn(repeated, lattice, method='context'),
    pixel_fn=_cell_fn(apply_fn, lattice, pixel_fn, shape=shape),
  )
  rest = rest.reshape(*rest.shape[:3], 3, -1)
  cells = jnp.concatenate([lattice[..., None, :], rest], -2)
  canvas = coarse_first_decoder.from_cells(cells, shape)

  def join(*parts: jax.Array) -> jax.Array:
    """Joins [h', w', ...] arrays, one per pixel of a cell, to [h, w, ...]."""
    joined = jnp.stack(parts, 2).reshape(1, *parts[0].shape[:2], 4, -1)
    joined = coarse_first_decoder.from_cells(joined, shape)[0]
    return joined.reshape(*shape, *parts[0].shape[2:])

  return canvas, jax.tree.map(join, lattice_collected, *rest_collected)


def _cell_fn(
  apply_fn: Callable[..., Any],
  lattice: jax.Array,
  pixel_fn: PixelFn,
  *,
  shape: tuple[int, int],
) -> PixelFn:
  """Builds the function that determines all pixels of a cell but the first.

  Args:
    apply_fn: function that calls a method of the `CoarseFirstDecoder`.
    lattice: [N, h', w', C] in network units.
    pixel_fn: function that determines a pixel of the map.
    shape: (h, w) of the map.

  Returns:
    A function of (features of the cell [N, F], row and col of the cell) that
    returns the values [N, 3 C], and a list of three trees to collect.
  """

  def cell_fn(
    x: jax.Array, row: jax.Array, col: jax.Array
  ) -> tuple[jax.Array, list[Any]]:
    x, previous = x[:, None, None], lattice[:, row, col]
    values, collected = [], []
    for index in range(1, 4):
      x, theta = apply_fn(
        x, previous[:, None, None], index=index, method='pixel'
      )
      row_in_cell, col_in_cell = coarse_first_decoder.CELL[index]
      pixel_row, pixel_col = 2 * row + row_in_cell, 2 * col + col_in_cell
      previous, extra = pixel_fn(theta[:, 0, 0], pixel_row, pixel_col)
      # If a side of the map is odd, the last cells extend beyond the map, where
      # `to_cells` puts zeros.
      is_inside = (pixel_row < shape[0]) & (pixel_col < shape[1])
      previous = jnp.where(is_inside, previous, 0.0)
      values.append(previous)
      collected.append(extra)
    return jnp.concatenate(values, -1), collected

  return cell_fn


def _row_step(
  carry: Any, xs: Any, *, step_fn: StepFn, pixel_fn: PixelFn, num_samples: int
) -> tuple[Any, Any]:
  """Fills one row; a step of `lax.scan`.

  Args:
    carry: (cache, down, down_right). `down` and `down_right`, [N, 1, w, F], are
      the terms that the row above adds to the inputs of the two streams.
    xs: index of the row, and for each of the two streams a list with the
      conditioning [B, 1, w, F] of each block.
    step_fn: see `StepFn`.
    pixel_fn, num_samples: see `decode`.

  Returns:
    The carry for the next row, and a pair: the values [N, w, C] of this row and
    the collected arrays [w, ...].
  """
  cache, down, down_right = carry
  row, *conditioning = xs
  down_conditioning, down_right_conditioning = jax.tree.map(
    lambda x: jnp.repeat(x, num_samples, 0), conditioning
  )
  row_inputs, cache = step_fn(
    cache,
    down,
    down_right,
    down_conditioning=down_conditioning,
    down_right_conditioning=down_right_conditioning,
    method='start_row',
  )
  by_column = jax.tree.map(
    lambda x: jnp.moveaxis(x, 2, 0)[:, :, :, None], row_inputs
  )  # [w, N, 1, 1, F]
  from_left = jnp.zeros_like(down_right[:, :, :1])
  (cache, _), (values, collected) = jax.lax.scan(
    functools.partial(_pixel_step, step_fn=step_fn, pixel_fn=pixel_fn, row=row),
    (cache, from_left),
    (jnp.arange(down.shape[2]), *by_column),
  )
  values = jnp.moveaxis(values, 0, 1)  # [N, w, C]
  (down, down_right), cache = step_fn(
    cache, values[:, None], method='convolve_rows'
  )
  return (cache, down, down_right), (values, collected)


def _pixel_step(
  carry: Any, xs: Any, *, step_fn: StepFn, pixel_fn: PixelFn, row: jax.Array
) -> tuple[Any, Any]:
  """Fills one pixel; a step of `lax.scan`.

  Args:
    carry: (cache, from_left). `from_left` [N, 1, 1, F] is the term that the
      pixels to the left add to the input of the down-right stream.
    xs: column of the pixel, the term [N, 1, 1, F] that the rows above add to
      the same input, and a list with the conditioning [N, 1, 1, F] of each
      block.
    step_fn: see `StepFn`.
    pixel_fn: see `decode`.
    row: index of the row.

  Returns:
    The carry for the next pixel, and a pair: the values [N, C] of this pixel
    and the collected arrays.
  """
  cache, from_left = carry
  col, from_above, conditioning = xs
  theta, cache = step_fn(
    cache,
    from_above + from_left,
    conditioning,
    col=col,
    method='down_right_stack',
  )
  values, collected = pixel_fn(theta[:, 0, 0], row, col)
  from_left, cache = step_fn(
    cache, values[:, None, None], col, method='write_pixel'
  )
  return (cache, from_left), (values, collected)
