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

from pic_jax.model import causal_decoder, parameters

# Function that determines a pixel: (theta [N, P], row, col) -> (values [N, C]
# of the pixel, tree of arrays that `decode` collects).
PixelFn = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
# Function that calls a method of the decoder: (cache, *args, method, **kwargs)
# -> (output, new cache).
StepFn = Callable[..., tuple[Any, Any]]


def decode(
  decoder: causal_decoder.CausalDecoder,
  params: parameters.Params,
  embedding: jax.Array,
  *,
  pixel_fn: PixelFn,
  num_samples: int = 1,
  hints: jax.Array | None = None,
) -> tuple[jax.Array, Any]:
  """Fills canvases pixel by pixel, in raster order.

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

  by_row = jax.tree.map(
    lambda x: jnp.moveaxis(x, 1, 0)[:, :, None], conditioning
  )  # [h, B, 1, w, F]
  zeros = jnp.zeros((num_canvases, 1, width, decoder.features), jnp.float32)
  _, (canvas, collected) = jax.lax.scan(
    functools.partial(
      _row_step,
      step_fn=_step_fn(decoder, variables['constants']),
      pixel_fn=pixel_fn,
      num_samples=num_samples,
    ),
    (variables['cache'], zeros, zeros),
    (jnp.arange(height), *by_row),
  )
  return jnp.moveaxis(canvas, 0, 1), collected


def _step_fn(decoder: causal_decoder.CausalDecoder, constants: Any) -> StepFn:
  """Builds the function that calls the decoder's methods with a cache."""

  def step_fn(
    cache: Any, *args: Any, method: str, **kwargs: Any
  ) -> tuple[Any, Any]:
    output, updates = decoder.apply(
      {'constants': constants, 'cache': cache},
      *args,
      method=method,
      mutable=['cache'],
      **kwargs,
    )
    return output, updates['cache']

  return step_fn


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
