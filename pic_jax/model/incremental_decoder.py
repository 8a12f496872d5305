"""Running the decoder pixel by pixel (paper sec. 3.2), with cached activations.

What no pixel changes is computed once per canvas, what a row's own pixels do
not change once per row; every layer computes every pixel once. The cache itself
is kept by `causal_conv` and `causal_attention`. Plain functions, because a raw
`lax.scan` inside a linen method silently gives wrong values.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from pic_jax.model import causal_decoder, parameters

# What `decode` asks for each pixel: (theta [N, P], row, col) -> the pixel's
# values [N, C] and anything to collect.
PixelFn = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
# Calls a method of the decoder: (cache, *args, method, **named) -> output, new
# cache.
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
  """Fills canvases pixel by pixel.

  Args:
    decoder: unbound module.
    params: its parameters.
    embedding: [B, h, w, E].
    pixel_fn: gets (theta [N, P], row, col) and returns the values [N, C] of
      this pixel in network units and anything that is to be collected.
    num_samples: canvases S for each image; N = B S, the samples of one image
      next to each other.
    hints: [B, h, w, 3], cells that are given; `pixel_fn` returns their values.

  Returns:
    The canvases [N, h, w, C] and what was collected, each leaf [h, w, ...].
  """
  batch, height, width, _ = embedding.shape
  num_canvases = batch * num_samples
  projections, variables = decoder.apply(
    {'params': params},
    embedding,
    num_canvases,
    hints,
    method='start',
    mutable=['cache', 'constants'],
  )
  constants = {'constants': variables['constants']}

  def step_fn(
    cache: Any, *args: Any, method: str, **named: Any
  ) -> tuple[Any, Any]:
    output, updates = decoder.apply(
      constants | {'cache': cache},
      *args,
      method=method,
      mutable=['cache'],
      **named,
    )
    return output, updates['cache']

  by_row = jax.tree.map(
    lambda x: jnp.moveaxis(x, 1, 0)[:, :, None], projections
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


def _row_step(
  carry: Any, xs: Any, *, step_fn: StepFn, pixel_fn: PixelFn, num_samples: int
) -> tuple[Any, Any]:
  """Fills one row.

  Args:
    carry: cache; for either stream, what the row above gives [N, 1, w, F].
    xs: row; conditioning of either stream, [B, 1, w, F] for each block.
    step_fn, pixel_fn, num_samples: see `decode`.
  """
  cache, down, down_right = carry
  row, *conditioning = xs
  down_conditioning, down_right_conditioning = jax.tree.map(
    lambda x: jnp.repeat(x, num_samples, 0), conditioning
  )
  from_above, cache = step_fn(
    cache,
    down,
    down_right,
    down_conditioning=down_conditioning,
    down_right_conditioning=down_right_conditioning,
    method='start_row',
  )
  by_column = jax.tree.map(
    lambda x: jnp.moveaxis(x, 2, 0)[:, :, :, None], from_above
  )  # [w, N, 1, 1, F]
  from_left = jnp.zeros_like(down_right[:, :, :1])
  (cache, _), (values, collected) = jax.lax.scan(
    functools.partial(_pixel_step, step_fn=step_fn, pixel_fn=pixel_fn, row=row),
    (cache, from_left),
    (jnp.arange(down.shape[2]), *by_column),
  )
  values = jnp.moveaxis(values, 0, 1)  # [N, w, C]
  (down, down_right), cache = step_fn(cache, values[:, None], method='rows_in')
  return (cache, down, down_right), (values, collected)


def _pixel_step(
  carry: Any, xs: Any, *, step_fn: StepFn, pixel_fn: PixelFn, row: jax.Array
) -> tuple[Any, Any]:
  """Fills one pixel.

  Args:
    carry: cache; what the pixel to the left gives, [N, 1, 1, F].
    xs: column; what the row above gives; conditioning of each block.
    step_fn, pixel_fn: see `decode`.
    row: of the pixel.
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
    cache, values[:, None, None], col, method='pixel_in'
  )
  return (cache, from_left), (values, collected)
