"""The likelihood of a finer level given the coarser one; see `levels`.

The offsets q come first, then x0, then x1 to x3; each value has an interval
that lets the others still reach the sum.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import levels, logistic_mixture, logistic_window

# Logistics per mixture. Few: given the coarse value, most values have one mode.
NUM_COMPONENTS = 5
# Outputs of the first stage: logits of q for a and b, a mixture for x0.
FIRST_OUTPUTS = 2 * 4 + 6 * NUM_COMPONENTS
# Outputs of the second stage: mixtures for x1, x2, x3; coupling of x2 to x1.
SECOND_OUTPUTS = 3 * 6 * NUM_COMPONENTS + 2
# Initial outputs of the heads, in network units: exp(-4.5) is 1.4 integers.
INITIAL_LOG_SCALE = -4.5
INITIAL_MEAN_SPREAD = 0.02
# Logit of probability 0; finite, unlike -inf, so that gradients are not NaN.
IMPOSSIBLE = -1e9
_STEPS_PER_UNIT = logistic_window.STEPS_PER_UNIT


class Cells(NamedTuple):
  """Known values of the 2 x 2 cells before they are refined.

  Attributes:
    coarse: [..., h, w, 2] integers.
    smooth: [..., h, w, 4, 2] the coarse map interpolated, then shifted so that
      each cell keeps its mean: the first guess of its values.
    has_hint: [..., h, w, 1] whether a cell holds a hint: its sum is then not
      constrained.
  """

  coarse: jax.Array
  smooth: jax.Array
  has_hint: jax.Array


def prepare(coarse: jax.Array, hints: jax.Array | None = None) -> Cells:
  """Interpolates a coarse map.

  Args:
    coarse: [N, h, w, 2] integers.
    hints: [N, 2 h, 2 w, 3] of the finer map, or None.
  """
  count, height, width, _ = coarse.shape
  shape = (count, 2 * height, 2 * width, 2)
  smooth = levels.to_cells(jax.image.resize(coarse, shape, 'linear'))
  smooth += (coarse - smooth.mean(-2))[..., None, :]
  has_hint = jnp.zeros((count, height, width, 1), bool)
  if hints is not None:
    has_hint = (levels.to_cells(hints)[..., 2] > 0).any(-1, keepdims=True)
  return Cells(coarse, smooth, has_hint)


class Mixture(NamedTuple):
  """Mixtures of one value (a, b) of [...] cells, in network units.

  Attributes:
    logits: [..., K] unnormalised log-weights, one choice for both channels.
    means: [..., 2, K] differences from the first guess.
    log_scales: [..., 2, K].
    coeffs: [..., K] in (-1, 1): how b follows a.
  """

  logits: jax.Array
  means: jax.Array
  log_scales: jax.Array
  coeffs: jax.Array


def unpack(theta: jax.Array) -> Mixture:
  """Splits [..., 6 K]: logits, means of a and b, log-scales, coeffs."""
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


def initial_theta(num_offsets: int, num_mixtures: int, rest: int) -> tuple:
  """Mean of each output of a head at the start of training."""
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
  parts = [np.zeros(num_offsets), *[mixture] * num_mixtures, np.zeros(rest)]
  return tuple(np.concatenate(parts).astype(np.float32).tolist())


class Interval(NamedTuple):
  """Possible values [..., 2] and a first guess of them, all in levels."""

  low: jax.Array
  high: jax.Array
  guess: jax.Array


def component_means(
  mixture: Mixture, within: Interval, a: jax.Array | None = None
) -> jax.Array:
  """Means [..., K] of a, or of b given a [..., 1], in levels."""
  if a is None:
    return _STEPS_PER_UNIT * mixture.means[..., 0, :] + within.guess[..., :1]
  means = _STEPS_PER_UNIT * mixture.means[..., 1, :] + within.guess[..., 1:]
  return means + mixture.coeffs * (a - within.guess[..., :1])


def _log_prob(theta: jax.Array, x: jax.Array, within: Interval) -> jax.Array:
  """Log-probability [...] of values x [..., 2] under mixtures [..., 6 K]."""
  mixture = unpack(theta)
  log_weights = jax.nn.log_softmax(mixture.logits)
  given = None
  for channel in range(2):
    value = x[..., channel, None]
    log_weights += logistic_window.log_window(
      value - component_means(mixture, within, given),
      mixture.log_scales[..., channel, :],
      is_lowest=value == within.low[..., channel, None],
      is_highest=value == within.high[..., channel, None],
    )
    given = value
  return jax.nn.logsumexp(log_weights, -1)


def offset_log_probs(
  theta: jax.Array, coarse: jax.Array, num_values: int = levels.NUM_VALUES
) -> jax.Array:
  """Log-probabilities [..., 2, 4] of q; impossible offsets have probability 0.

  The sum is in 0..4 (R - 1). Hence q is not 3 where the coarse value is R - 1,
  and is 2 or 3 where it is 0.

  Args:
    theta: [..., `FIRST_OUTPUTS`].
    coarse: [..., 2] integers.
    num_values: R.
  """
  logits = theta[..., :8].astype(jnp.float32)
  logits = logits.reshape(*theta.shape[:-1], 2, 4)
  offsets = jnp.arange(4.0).reshape((1,) * (logits.ndim - 1) + (4,))
  sums = 4.0 * coarse[..., None] - 2.0 + offsets
  is_possible = (sums >= 0) & (sums <= 4.0 * (num_values - 1))
  return jax.nn.log_softmax(jnp.where(is_possible, logits, IMPOSSIBLE))


def _interval(
  rest: jax.Array,
  num_after: int,
  guess: jax.Array,
  *,
  has_hint: jax.Array,
  num_values: int,
) -> Interval:
  """Limits of the next value if it and those after it add up to `rest`.

  Args:
    rest: [..., 2].
    num_after: number of values after it.
    guess: [..., 2].
    has_hint: [..., 1] where the sum is not constrained.
    num_values: R.
  """
  top = num_values - 1.0
  low = jnp.where(has_hint, 0.0, jnp.maximum(0.0, rest - num_after * top))
  high = jnp.where(has_hint, top, jnp.minimum(top, rest))
  return Interval(low, high, guess)


def first_interval(
  cells: Cells, offset: jax.Array, num_values: int = levels.NUM_VALUES
) -> Interval:
  """Limits of x0, given the offsets [..., 2]."""
  rest = 4.0 * cells.coarse - 2.0 + offset
  # Cells of the smooth map sum to 4 m; the true sum is 4 m + q - 2.
  shift = jnp.where(cells.has_hint, 0.0, 0.25 * (offset - 2.0))
  guess = cells.smooth[..., 0, :] + shift
  return _interval(
    rest, 3, guess, has_hint=cells.has_hint, num_values=num_values
  )


def second_intervals(
  theta: jax.Array,
  cells: Cells,
  offset: jax.Array,
  *,
  x0: jax.Array,
  num_values: int = levels.NUM_VALUES,
) -> tuple:
  """Limits of x1, and functions of x1 (and x2) that limit x2 and x3.

  What the sum still lacks is first guessed to be the same in all values that
  are left; how x2 moves when x1 is not as guessed is learned.

  Args:
    theta: [..., `SECOND_OUTPUTS`].
    cells, offset, x0: what is known.
    num_values: R.
  """
  smooth, free = cells.smooth, cells.has_hint
  rest = 4.0 * cells.coarse - 2.0 + offset - x0
  lack = jnp.where(free, 0.0, (rest - smooth[..., 1:, :].sum(-2)) / 3.0)
  guess = smooth[..., 1, :] + lack
  coupling = jnp.tanh(theta[..., -2:].astype(jnp.float32))

  def interval_2(x1: jax.Array) -> Interval:
    left = rest - x1
    lack = jnp.where(free, 0.0, 0.5 * (left - smooth[..., 2:, :].sum(-2)))
    moved = coupling * (x1 - guess)
    return _interval(
      left,
      1,
      smooth[..., 2, :] + lack + moved,
      has_hint=free,
      num_values=num_values,
    )

  def interval_3(x1: jax.Array, x2: jax.Array) -> Interval:
    left = rest - x1 - x2
    guess = jnp.where(free, smooth[..., 3, :], left)
    return _interval(left, 0, guess, has_hint=free, num_values=num_values)

  return (
    _interval(rest, 2, guess, has_hint=free, num_values=num_values),
    interval_2,
    interval_3,
  )


class Stages(NamedTuple):
  """Raw outputs of the two stages of a level, on the coarse grid.

  Attributes:
    first: [..., `FIRST_OUTPUTS`], of q and x0.
    second: [..., `SECOND_OUTPUTS`], of x1, x2 and x3, computed from q and x0.
  """

  first: jax.Array
  second: jax.Array


def mixtures(stages: Stages) -> list[jax.Array]:
  """The mixtures of x0 to x3, [..., 6 K] each."""
  size = 6 * NUM_COMPONENTS
  parts = [stages.second[..., size * i : size * (i + 1)] for i in range(3)]
  return [stages.first[..., 8:], *parts]


def offsets(cells: Cells, fine: jax.Array) -> jax.Array:
  """Offsets q [..., 2] of fine values [..., 4, 2]; 0 where there is no sum."""
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
  """Log-probability of the fine values given the coarse ones, in nats.

  Args:
    stages: outputs of the network for these values.
    cells: the coarse map.
    fine: [..., h, w, 4, 2] integers, whose rounded means are `cells.coarse`
      except in cells with a hint.
    known: [..., h, w, 4], 1 for hinted values, which are not counted.
    num_values: R.

  Returns:
    [..., h, w].
  """
  q = offsets(cells, fine)
  logits = offset_log_probs(stages.first, cells.coarse, num_values)
  index = jnp.clip(q, 0, 3).astype(jnp.int32)[..., None]
  of_q = jnp.take_along_axis(logits, index, -1)[..., 0].sum(-1)
  total = jnp.where(cells.has_hint[..., 0], 0.0, of_q)
  x = [fine[..., i, :] for i in range(4)]
  interval_1, interval_2, interval_3 = second_intervals(
    stages.second, cells, q, x0=x[0], num_values=num_values
  )
  within = [
    first_interval(cells, q, num_values),
    interval_1,
    interval_2(x[1]),
    interval_3(x[1], x[2]),
  ]
  for i, theta in enumerate(mixtures(stages)):
    part = _log_prob(theta, x[i], within[i])
    total += part if known is None else (1.0 - known[..., i]) * part
  return total
