"""Coding of the finer levels of a map; see `code_length`.

Symbols come in the order of `levels`: offsets, x0, x1 and x2 of all cells of a
level, each for a and then for b. They determine x3.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import (
  level_likelihood,
  levels,
  logistic_window,
  parameters,
  pic,
)

# Returns symbols [B, h, w] int32, given their probabilities [B, h, w, S], the
# level (from 1) and the number of the symbol in a cell.
AskFn = Callable[..., jax.Array]


def symbols(chroma: jax.Array, num_levels: int) -> list[np.ndarray]:
  """The symbols of every level above the coarsest, [B, h, w, 8] int32.

  Args:
    chroma: [B, h, w, 2] of the finest map, in network units.
    num_levels: of the model.
  """
  found = []
  maps = levels.pyramid(chroma, None, num_levels)
  for coarse, fine in zip(maps[:-1], maps[1:], strict=True):
    cells = level_likelihood.prepare(levels.from_network(coarse.chroma))
    values = levels.to_cells(levels.from_network(fine.chroma))
    parts = [
      level_likelihood.offsets(cells, values),
      *jnp.moveaxis(values, -2, 0)[:3],
    ]
    found.append(np.asarray(jnp.concatenate(parts, -1)).astype(np.int32))
  return found


def _table(
  log_weights: jax.Array,
  means: jax.Array,
  log_scales: jax.Array,
  *,
  low: jax.Array,
  high: jax.Array,
) -> jax.Array:
  """[B, h, w, 256] probabilities of the values of a channel.

  Args:
    log_weights, means, log_scales: [B, h, w, K].
    low, high: [B, h, w] first and last value that is possible.
  """
  every = jnp.arange(float(levels.NUM_VALUES)).reshape(1, 1, 1, -1, 1)
  low, high = low[..., None, None], high[..., None, None]
  log_mass = logistic_window.log_window(
    every - means[..., None, :],
    log_scales[..., None, :],
    is_lowest=every == low,
    is_highest=every == high,
  )
  rows = jnp.exp(jax.nn.logsumexp(log_weights[..., None, :] + log_mass, -1))
  is_possible = (every >= low) & (every <= high)
  return jnp.where(is_possible[..., 0], rows, 0.0)


def _value(
  theta: jax.Array, within: level_likelihood.Interval, ask_fn: Callable
) -> jax.Array:
  """Asks for a and then b of one value of all cells, [B, h, w, 2]."""
  mixture = level_likelihood.unpack(theta)
  log_weights = jax.nn.log_softmax(mixture.logits)
  found, given = [], None
  for channel in range(2):
    means = level_likelihood.component_means(mixture, within, given)
    log_scales = mixture.log_scales[..., channel, :]
    low, high = within.low[..., channel], within.high[..., channel]
    rows = _table(log_weights, means, log_scales, low=low, high=high)
    given = ask_fn(rows, channel).astype(jnp.float32)[..., None]
    found.append(given)
    # The weights of the components for b are those that a leaves.
    log_weights = jax.nn.log_softmax(
      log_weights
      + logistic_window.log_window(
        given - means,
        log_scales,
        is_lowest=given == low[..., None],
        is_highest=given == high[..., None],
      )
    )
  return jnp.concatenate(found, -1)


def walk(
  model: pic.PIC,
  params: parameters.Params,
  luminance: jax.Array,
  *,
  embedded: tuple[jax.Array, list[jax.Array]],
  canvas: jax.Array,
  ask_fn: AskFn,
) -> jax.Array:
  """Refines a coarsest map by symbols that are asked for, level by level.

  Args:
    model: has levels.
    params: its parameters.
    luminance: [B, H, W, 1] in network units.
    embedded: embedding and features of the backbone.
    canvas: [B, h_0, w_0, 2] in network units.
    ask_fn: returns the symbols.

  Returns:
    The finest map [B, h, w, 2] in network units.
  """
  net = model.build_level()
  embedding, features = embedded
  for level in range(1, model.levels + 1):
    apply_fn = functools.partial(
      net.apply, {'params': params[f'level_{level}']}
    )

    def ask(first: int, level: int = level) -> Callable:
      return lambda table, channel: ask_fn(table, level, first + channel)

    context = apply_fn(
      luminance,
      embedding,
      canvas.shape[1:3],
      features=features,
      method='context',
    )
    cells = level_likelihood.prepare(levels.from_network(canvas))
    theta, x = apply_fn(context, cells, method='first')
    rows = jnp.exp(level_likelihood.offset_log_probs(theta, cells.coarse))
    offset = jnp.stack(
      [ask(0)(rows[..., i, :], i).astype(jnp.float32) for i in range(2)], -1
    )
    within = level_likelihood.first_interval(cells, offset)
    x0 = _value(theta[..., 8:], within, ask(2))
    second = apply_fn(x, cells, offset, x0=x0, method='second')
    _, *mixtures = level_likelihood.mixtures(
      level_likelihood.Stages(theta, second)
    )
    interval_1, interval_2, interval_3 = level_likelihood.second_intervals(
      second, cells, offset, x0=x0
    )
    x1 = _value(mixtures[0], interval_1, ask(4))
    x2 = _value(mixtures[1], interval_2(x1), ask(6))
    x3 = interval_3(x1, x2).low
    values = jnp.stack([x0, x1, x2, x3], -2)
    canvas = levels.to_network(levels.from_cells(values))
  return canvas
