"""Coding of the finer levels of the chroma pyramid; see `code_length`.

The symbols of a level are coded in the order in which they are sampled (see
`levels`): q of all cells, then x0 of all cells, then x1, then x2, each first
for a and then for b. These symbols determine x3, so x3 is not coded.
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

# Function of the probabilities [B, h, w, S] of all values of symbols, the level
# of the symbols (1 is the coarsest of the finer levels), and their index in a
# cell (0..7, in the order above). It returns the symbols [B, h, w] int32.
AskFn = Callable[..., jax.Array]


def symbols(chroma: jax.Array, num_levels: int) -> list[np.ndarray]:
  """Computes the symbols of every finer level.

  Args:
    chroma: [B, h, w, 2], the finest map, in network units.
    num_levels: number of finer levels of the model.

  Returns:
    A list of the symbols [B, h_i / 2, w_i / 2, 8] int32 of every level i, from
    level 1 on, where [h_i, w_i] is the size of its map.
  """
  result = []
  maps = levels.pyramid(chroma, None, num_levels)
  for coarse, fine in zip(maps[:-1], maps[1:], strict=True):
    cells = level_likelihood.prepare(levels.from_network(coarse.chroma))
    values = levels.to_cells(levels.from_network(fine.chroma))
    parts = [
      level_likelihood.offsets(cells, values),
      *jnp.moveaxis(values, -2, 0)[:3],
    ]
    result.append(np.asarray(jnp.concatenate(parts, -1)).astype(np.int32))
  return result


def _probabilities(
  log_weights: jax.Array,
  means: jax.Array,
  log_scales: jax.Array,
  *,
  low: jax.Array,
  high: jax.Array,
) -> jax.Array:
  """Computes the probabilities of all values of a channel, 0..255.

  Args:
    log_weights: [B, h, w, K] normalised log-weights of the components.
    means: [B, h, w, K] on the scale 0..255.
    log_scales: [B, h, w, K] in network units.
    low, high: [B, h, w], the lowest and the highest possible value.

  Returns:
    Probabilities [B, h, w, 256]; 0 for values that are not possible.
  """
  values = jnp.arange(float(levels.NUM_VALUES)).reshape(1, 1, 1, -1, 1)
  low, high = low[..., None, None], high[..., None, None]
  log_mass = logistic_window.log_window(
    values - means[..., None, :],
    log_scales[..., None, :],
    is_lowest=values == low,
    is_highest=values == high,
  )
  probs = jnp.exp(jax.nn.logsumexp(log_weights[..., None, :] + log_mass, -1))
  is_possible = (values >= low) & (values <= high)
  return jnp.where(is_possible[..., 0], probs, 0.0)


def _ask_for_value(
  theta: jax.Array, interval: level_likelihood.Interval, channel_fn: Callable
) -> jax.Array:
  """Asks for one fine value of every cell, first for its a, then for its b.

  Args:
    theta: [B, h, w, 6 K] raw parameters of the mixtures.
    interval: the possible values.
    channel_fn: function of the probabilities [B, h, w, 256] and the channel
      that returns the symbols [B, h, w].

  Returns:
    The values [B, h, w, 2], integers in float32.
  """
  mixture = level_likelihood.unpack(theta)
  log_weights = jax.nn.log_softmax(mixture.logits)
  values, a = [], None
  for channel in range(2):
    means = level_likelihood.component_means(mixture, interval, a)
    log_scales = mixture.log_scales[..., channel, :]
    low, high = interval.low[..., channel], interval.high[..., channel]
    probs = _probabilities(log_weights, means, log_scales, low=low, high=high)
    value = channel_fn(probs, channel).astype(jnp.float32)[..., None]
    values.append(value)
    # The weights for channel b are the posterior weights, given the value of
    # channel a.
    log_weights = jax.nn.log_softmax(
      log_weights
      + logistic_window.log_window(
        value - means,
        log_scales,
        is_lowest=value == low[..., None],
        is_highest=value == high[..., None],
      )
    )
    a = value
  return jnp.concatenate(values, -1)


def walk(
  model: pic.PIC,
  params: parameters.Params,
  luminance: jax.Array,
  *,
  embedded: tuple[jax.Array, list[jax.Array]],
  canvas: jax.Array,
  ask_fn: AskFn,
) -> jax.Array:
  """Refines the coarsest map level by level with symbols that it asks for.

  Args:
    model: the model. Without finer levels, the coarsest map is returned.
    params: parameters of the model.
    luminance: [B, H, W, 1] in network units.
    embedded: the embedding [B, h_0, w_0, E], and the backbone's feature maps.
    canvas: [B, h_0, w_0, 2], the coarsest map, in network units.
    ask_fn: function that returns the symbols, see `AskFn`.

  Returns:
    The finest map [B, h, w, 2] in network units.
  """
  net = model.build_level()
  embedding, features = embedded
  for level in range(1, model.levels + 1):
    variables = {'params': params[f'level_{level}']}
    apply_fn = functools.partial(net.apply, variables)

    def build_channel_fn(first_index: int, level: int = level) -> Callable:
      return lambda probs, channel: ask_fn(probs, level, first_index + channel)

    context = apply_fn(
      luminance,
      embedding,
      canvas.shape[1:3],
      features=features,
      method='context',
    )
    cells = level_likelihood.prepare(levels.from_network(canvas))
    first, hidden = apply_fn(context, cells, method='first')
    log_probs = level_likelihood.offset_log_probs(first, cells.coarse)
    offset_fn = build_channel_fn(0)
    offset = jnp.stack(
      [offset_fn(jnp.exp(log_probs[..., i, :]), i) for i in range(2)], -1
    ).astype(jnp.float32)
    interval_0 = level_likelihood.first_interval(cells, offset)
    # The first 8 outputs are the logits of q.
    x0 = _ask_for_value(first[..., 8:], interval_0, build_channel_fn(2))
    second = apply_fn(hidden, cells, offset, x0=x0, method='second')
    stages = level_likelihood.Stages(first, second)
    _, theta_1, theta_2, _ = level_likelihood.mixtures(stages)
    interval_1, interval_2, interval_3 = level_likelihood.second_intervals(
      second, cells, offset, x0=x0
    )
    x1 = _ask_for_value(theta_1, interval_1, build_channel_fn(4))
    x2 = _ask_for_value(theta_2, interval_2(x1), build_channel_fn(6))
    x3 = interval_3(x1, x2).low
    values = jnp.stack([x0, x1, x2, x3], -2)
    canvas = levels.to_network(levels.from_cells(values))
  return canvas
