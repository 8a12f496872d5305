"""Likelihood of a finer level given the next coarser one.

`levels` defines cells, the offset q, the values x0 to x3 and their number R of
possible values. The likelihood of a cell is the product of the probabilities of
q, x0, x1, x2 and x3, each given those before it. Each value is limited to the
interval in which the values after it can still make up the rest of the sum.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import levels, logistic_mixture, logistic_window

# Logistics per mixture. A few are enough, because given the coarse value most
# fine values have a distribution with one mode.
NUM_COMPONENTS = 5
# Number of outputs of the first stage: logits of q for a and b, and a mixture
# for x0.
FIRST_OUTPUTS = 2 * 4 + 6 * NUM_COMPONENTS
# Number of outputs of the second stage: mixtures for x1, x2 and x3, and for a
# and b the coupling of x2 to x1 (see `second_intervals`).
SECOND_OUTPUTS = 3 * 6 * NUM_COMPONENTS + 2
# Log-scales and range of the means at the start of training, in network units.
# A scale of exp(-4.5) is 1.4 steps of the grid.
INITIAL_LOG_SCALE = -4.5
INITIAL_MEAN_SPREAD = 0.02
# Logit of an offset with probability 0. It is finite, because -inf would make
# gradients NaN.
IMPOSSIBLE = -1e9
_STEPS_PER_UNIT = logistic_window.STEPS_PER_UNIT


class Cells(NamedTuple):
  """Coarse values, first guesses and hint flags of the 2 x 2 cells of a map.

  Attributes:
    coarse: [..., h, w, 2] coarse values, integers 0..R - 1.
    smooth: [..., h, w, 4, 2] first guess of the fine values. It is the
      interpolated coarse map, shifted so that the mean of each cell equals the
      cell's coarse value.
    has_hint: [..., h, w, 1] whether a cell contains a hint. The sum of such a
      cell is not constrained.
  """

  coarse: jax.Array
  smooth: jax.Array
  has_hint: jax.Array


def prepare(coarse: jax.Array, hints: jax.Array | None = None) -> Cells:
  """Interpolates a coarse map and marks the cells that contain hints.

  Args:
    coarse: [N, h, w, 2] integers 0..R - 1.
    hints: [N, 2 h, 2 w, 3] of the finer map, or None.
  """
  batch, height, width, _ = coarse.shape
  shape = (batch, 2 * height, 2 * width, 2)
  smooth = levels.to_cells(jax.image.resize(coarse, shape, 'linear'))
  smooth += (coarse - smooth.mean(-2))[..., None, :]
  has_hint = jnp.zeros((batch, height, width, 1), bool)
  if hints is not None:
    has_hint = (levels.to_cells(hints)[..., 2] > 0).any(-1, keepdims=True)
  return Cells(coarse, smooth, has_hint)


class Mixture(NamedTuple):
  """Parameters of the mixture of one fine value (a, b), in network units.

  Attributes:
    logits: [..., K] unnormalised log-weights of the components. A component
      covers both channels.
    means: [..., 2, K] means of a and b minus their first guesses. Those of b
      hold where a equals its first guess.
    log_scales: [..., 2, K] log-scales of a and b.
    coeffs: [..., K] coefficients in (-1, 1), by which the mean of b depends on
      the difference between a and its first guess.
  """

  logits: jax.Array
  means: jax.Array
  log_scales: jax.Array
  coeffs: jax.Array


def unpack(theta: jax.Array) -> Mixture:
  """Splits raw outputs theta [..., 6 K] into the parts of a mixture.

  The order of the outputs is: K logits, K means of a, K means of b, K
  log-scales of a, K log-scales of b, and K coeffs, which pass through tanh.
  """
  lead, theta = theta.shape[:-1], theta.astype(jnp.float32)
  logits, means, log_scales, coeffs = jnp.split(
    theta, [NUM_COMPONENTS, 3 * NUM_COMPONENTS, 5 * NUM_COMPONENTS], -1
  )
  return Mixture(
    logits,
    means.reshape(*lead, 2, NUM_COMPONENTS),
    jnp.maximum(
      log_scales.reshape(*lead, 2, NUM_COMPONENTS),
      logistic_mixture.LOG_SCALE_MIN,
    ),
    jnp.tanh(coeffs),
  )


def initial_theta(num_logits: int, num_mixtures: int, num_rest: int) -> tuple:
  """Returns the mean of each output of a stage at the start of training.

  Args:
    num_logits: number of logits of q, which come first.
    num_mixtures: number of mixtures, whose outputs follow.
    num_rest: number of other outputs, which come last and start at 0.
  """
  means = np.linspace(-INITIAL_MEAN_SPREAD, INITIAL_MEAN_SPREAD, NUM_COMPONENTS)
  mixture = np.concatenate(
    [
      np.zeros(NUM_COMPONENTS),
      means,
      means,
      np.full(2 * NUM_COMPONENTS, INITIAL_LOG_SCALE),
      np.zeros(NUM_COMPONENTS),
    ]
  )
  parts = [np.zeros(num_logits), *[mixture] * num_mixtures, np.zeros(num_rest)]
  return tuple(np.concatenate(parts).astype(np.float32).tolist())


class Interval(NamedTuple):
  """Interval to which a fine value is limited, and a first guess of the value.

  Attributes:
    low, high: [..., 2] lowest and highest possible value, integers 0..R - 1.
    guess: [..., 2] first guess of the value, not rounded.
  """

  low: jax.Array
  high: jax.Array
  guess: jax.Array


def component_means(
  mixture: Mixture, interval: Interval, a: jax.Array | None = None
) -> jax.Array:
  """Computes the means of one channel of a fine value.

  Args:
    mixture: parameters of the mixture.
    interval: the possible values and the first guess.
    a: [..., 1] the value's a, for the means of b given this a; None for the
      means of a.

  Returns:
    [..., K] means of the components, on the scale 0..R - 1.
  """
  if a is None:
    return _STEPS_PER_UNIT * mixture.means[..., 0, :] + interval.guess[..., :1]
  means = _STEPS_PER_UNIT * mixture.means[..., 1, :] + interval.guess[..., 1:]
  return means + mixture.coeffs * (a - interval.guess[..., :1])


def _log_prob(theta: jax.Array, x: jax.Array, interval: Interval) -> jax.Array:
  """Computes the log-probability of one fine value.

  Args:
    theta: [..., 6 K] raw outputs for this value.
    x: [..., 2] the value, integers 0..R - 1.
    interval: the possible values and the first guess.

  Returns:
    [...] nats.
  """
  mixture = unpack(theta)
  log_weights = jax.nn.log_softmax(mixture.logits)
  a = None
  for channel in range(2):
    value = x[..., channel, None]
    log_weights += logistic_window.log_window(
      value - component_means(mixture, interval, a),
      mixture.log_scales[..., channel, :],
      is_lowest=value == interval.low[..., channel, None],
      is_highest=value == interval.high[..., channel, None],
    )
    a = value
  return jax.nn.logsumexp(log_weights, -1)


def offset_log_probs(
  theta: jax.Array, coarse: jax.Array, num_values: int = levels.NUM_VALUES
) -> jax.Array:
  """Computes the log-probabilities of the four possible q, for a and for b.

  The sum of a cell lies in 0..4 (R - 1). Where the coarse value is R - 1, q
  cannot be 3; where it is 0, q can only be 2 or 3. Impossible offsets
  get probability 0.

  Args:
    theta: [..., `FIRST_OUTPUTS`] raw outputs of the first stage.
    coarse: [..., 2] integers 0..R - 1.
    num_values: R.

  Returns:
    [..., 2, 4] nats.
  """
  logits = theta[..., :8].astype(jnp.float32)
  logits = logits.reshape(*theta.shape[:-1], 2, 4)
  offsets = jnp.arange(4.0).reshape((1,) * (logits.ndim - 1) + (4,))
  sums = 4.0 * coarse[..., None] - 2.0 + offsets
  is_possible = (sums >= 0) & (sums <= 4.0 * (num_values - 1))
  return jax.nn.log_softmax(jnp.where(is_possible, logits, IMPOSSIBLE))


def _interval(
  remaining_sum: jax.Array,
  num_after: int,
  guess: jax.Array,
  *,
  has_hint: jax.Array,
  num_values: int,
) -> Interval:
  """Limits a value so that the values after it can make up the rest of the sum.

  Args:
    remaining_sum: [..., 2] sum of this value and the values after it.
    num_after: number of values after this value.
    guess: [..., 2] first guess of this value.
    has_hint: [..., 1] whether the cell contains a hint. The value is then only
      limited to 0..R - 1.
    num_values: R.
  """
  top = num_values - 1.0
  lowest = jnp.maximum(0.0, remaining_sum - num_after * top)
  low = jnp.where(has_hint, 0.0, lowest)
  high = jnp.where(has_hint, top, jnp.minimum(top, remaining_sum))
  return Interval(low, high, guess)


def first_interval(
  cells: Cells, offset: jax.Array, num_values: int = levels.NUM_VALUES
) -> Interval:
  """Computes the interval of x0 given the offsets q.

  Args:
    cells: the coarse map with its first guesses.
    offset: [..., 2] q of a and b.
    num_values: R.
  """
  total = 4.0 * cells.coarse - 2.0 + offset
  # A cell of `smooth` adds up to 4 m; the true sum is 4 m + q - 2. Each value
  # gets a quarter of the difference.
  shift = jnp.where(cells.has_hint, 0.0, 0.25 * (offset - 2.0))
  guess = cells.smooth[..., 0, :] + shift
  return _interval(
    total, 3, guess, has_hint=cells.has_hint, num_values=num_values
  )


def second_intervals(
  theta: jax.Array,
  cells: Cells,
  offset: jax.Array,
  *,
  x0: jax.Array,
  num_values: int = levels.NUM_VALUES,
) -> tuple:
  """Computes the intervals of x1, x2 and x3.

  The first guess of a value is its entry of `cells.smooth` plus a correction.
  Without a hint in the cell, the correction is an equal share of the difference
  between the remaining sum and the sum of the remaining entries of `smooth`.
  With a hint it is 0. The guess of x2 also moves by the difference between x1
  and the guess of x1, times a factor that the network predicts (the coupling).

  Args:
    theta: [..., `SECOND_OUTPUTS`] raw outputs of the second stage.
    cells: the coarse map with its first guesses.
    offset: [..., 2] q of a and b.
    x0: [..., 2] integers 0..R - 1.
    num_values: R.

  Returns:
    The interval of x1, a function of x1 that returns the interval of x2, and a
    function of x1 and x2 that returns the interval of x3.
  """
  smooth, has_hint = cells.smooth, cells.has_hint
  sum_1 = 4.0 * cells.coarse - 2.0 + offset - x0  # of x1, x2 and x3
  missing_1 = sum_1 - smooth[..., 1:, :].sum(-2)
  guess_1 = smooth[..., 1, :] + jnp.where(has_hint, 0.0, missing_1 / 3.0)
  coupling = jnp.tanh(theta[..., -2:].astype(jnp.float32))

  def interval_2_given(x1: jax.Array) -> Interval:
    sum_2 = sum_1 - x1
    missing_2 = sum_2 - smooth[..., 2:, :].sum(-2)
    guess_2 = smooth[..., 2, :] + jnp.where(has_hint, 0.0, 0.5 * missing_2)
    return _interval(
      sum_2,
      1,
      guess_2 + coupling * (x1 - guess_1),
      has_hint=has_hint,
      num_values=num_values,
    )

  def interval_3_given(x1: jax.Array, x2: jax.Array) -> Interval:
    x3 = sum_1 - x1 - x2
    guess_3 = jnp.where(has_hint, smooth[..., 3, :], x3)
    return _interval(x3, 0, guess_3, has_hint=has_hint, num_values=num_values)

  return (
    _interval(sum_1, 2, guess_1, has_hint=has_hint, num_values=num_values),
    interval_2_given,
    interval_3_given,
  )


class Stages(NamedTuple):
  """Raw outputs of the two stages of a level's network, on the coarse grid.

  Attributes:
    first: [..., `FIRST_OUTPUTS`] for q and x0.
    second: [..., `SECOND_OUTPUTS`] for x1, x2 and x3, computed from q and x0.
  """

  first: jax.Array
  second: jax.Array


def mixtures(stages: Stages) -> list[jax.Array]:
  """Returns the raw outputs for the mixtures of x0 to x3, [..., 6 K] each."""
  size = 6 * NUM_COMPONENTS
  parts = [stages.second[..., size * i : size * (i + 1)] for i in range(3)]
  return [stages.first[..., 8:], *parts]


def offsets(cells: Cells, fine: jax.Array) -> jax.Array:
  """Computes the offsets q [..., 2] of fine values [..., 4, 2].

  Cells with a hint do not use q; their q is set to 0.
  """
  q = fine.sum(-2) + 2.0 - 4.0 * cells.coarse
  return jnp.where(cells.has_hint, 0.0, q)


def log_prob(
  stages: Stages,
  cells: Cells,
  fine: jax.Array,
  *,
  known: jax.Array | None = None,
  num_values: int = levels.NUM_VALUES,
) -> jax.Array:
  """Computes the log-probability of fine values given the coarse map.

  Args:
    stages: outputs of the network for these fine values.
    cells: the coarse map with its first guesses.
    fine: [..., h, w, 4, 2] integers 0..R - 1. Their rounded means must be
      `cells.coarse`, except in cells with a hint.
    known: [..., h, w, 4] 1 for hinted values, which are not counted, and 0 for
      all other values; None for no hints.
    num_values: R.

  Returns:
    [..., h, w] log-probability of each cell, in nats.
  """
  q = offsets(cells, fine)
  q_log_probs = offset_log_probs(stages.first, cells.coarse, num_values)
  index = jnp.clip(q, 0, 3).astype(jnp.int32)[..., None]
  q_log_prob = jnp.take_along_axis(q_log_probs, index, -1)[..., 0].sum(-1)
  total = jnp.where(cells.has_hint[..., 0], 0.0, q_log_prob)
  x = [fine[..., i, :] for i in range(4)]
  interval_1, interval_2_given, interval_3_given = second_intervals(
    stages.second, cells, q, x0=x[0], num_values=num_values
  )
  intervals = [
    first_interval(cells, q, num_values),
    interval_1,
    interval_2_given(x[1]),
    interval_3_given(x[1], x[2]),
  ]
  for i, theta in enumerate(mixtures(stages)):
    value_log_prob = _log_prob(theta, x[i], intervals[i])
    if known is not None:
      value_log_prob *= 1.0 - known[..., i]
    total += value_log_prob
  return total
