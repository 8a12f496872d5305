"""Sampling of a finer level given the next coarser one; see `levels`."""

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import level_likelihood, levels, logistic_mixture


def noise(key: jax.Array, height: int, width: int) -> jax.Array:
  """Draws the noise of one sample of a level.

  Args:
    key: PRNG key.
    height, width: h and w, the sides of the coarse map.

  Returns:
    [h, w, 8 + 4 (K + 2)] float32. The first 8 numbers are Gumbel noise for the
    four possible values of q, for a and then for b. For each of x0 to x3, the
    K + 2 numbers of `logistic_mixture.noise` follow.
  """
  shape = (height, width, 8 + 4 * (level_likelihood.NUM_COMPONENTS + 2))
  # A flat draw compiles faster, see `logistic_mixture.noise`.
  bits = jax.random.bits(key, (int(np.prod(shape)),), jnp.uint32)
  bits = bits.reshape(shape)
  # `noise_from_bits` converts the last two inputs to logistic noise, and all
  # others to Gumbel noise. q needs only Gumbel noise, so two spare inputs are
  # appended to its bits and dropped after the conversion.
  value_bits = bits[..., 8:].reshape(
    height, width, 4, level_likelihood.NUM_COMPONENTS + 2
  )
  value_noise = logistic_mixture.noise_from_bits(value_bits)
  spare = jnp.zeros((height, width, 2), jnp.uint32)
  offset_bits = jnp.concatenate([bits[..., :8], spare], -1)
  offset_noise = logistic_mixture.noise_from_bits(offset_bits)[..., :8]
  return jnp.concatenate(
    [offset_noise, value_noise.reshape(height, width, -1)], -1
  )


def _draw_value(
  theta: jax.Array, noise: jax.Array, interval: level_likelihood.Interval
) -> jax.Array:
  """Converts noise to a sample of one fine value.

  Args:
    theta: [..., 6 K] raw outputs for this value.
    noise: [..., K + 2], see `logistic_mixture.noise`.
    interval: the possible values and the first guess.

  Returns:
    [..., 2] integers 0..R - 1.
  """
  mixture = level_likelihood.unpack(theta)
  component = jnp.argmax(mixture.logits + noise[..., :-2], -1)[..., None]

  def draw_channel(index: int, shift: jax.Array) -> jax.Array:
    log_scale = jnp.take_along_axis(
      mixture.log_scales[..., index, :], component, -1
    )
    mean = jnp.take_along_axis(mixture.means[..., index, :], component, -1)
    # In steps, relative to `guess + shift`.
    difference = logistic_mixture.STEPS_PER_UNIT * (
      mean + jnp.exp(log_scale) * noise[..., index - 2, None]
    )
    guess = interval.guess[..., index : index + 1]
    # The window of an integer k is [k - 1/2, k + 1/2), so halves are rounded
    # up.
    value = jnp.floor(guess + shift + difference + 0.5)
    low = interval.low[..., index : index + 1]
    high = interval.high[..., index : index + 1]
    return jnp.clip(value, low, high)

  a = draw_channel(0, jnp.zeros_like(interval.guess[..., :1]))
  coeff = jnp.take_along_axis(mixture.coeffs, component, -1)
  b = draw_channel(1, coeff * (a - interval.guess[..., :1]))
  return jnp.concatenate([a, b], -1)


def _put_hints(x: jax.Array, hints: jax.Array | None, index: int) -> jax.Array:
  """Replaces one fine value of each cell with its hint, if there is one.

  Args:
    x: [..., 2] integers, one fine value of each cell.
    hints: [..., 4, 3] hints of the cells in network units, or None.
    index: position of the value in its cell, 0..3.
  """
  if hints is None:
    return x
  hint = hints[..., index, :]
  return jnp.where(hint[..., 2:] > 0, levels.from_network(hint[..., :2]), x)


def sample_first(
  theta: jax.Array,
  cells: level_likelihood.Cells,
  noise: jax.Array,
  *,
  hints: jax.Array | None = None,
  num_values: int = levels.NUM_VALUES,
) -> tuple[jax.Array, jax.Array]:
  """Draws q and x0.

  Args:
    theta: [..., h, w, `FIRST_OUTPUTS`] raw outputs of the first stage.
    cells: the coarse map with its first guesses.
    noise: noise of the level (see `noise`), multiplied by the temperature.
    hints: [..., h, w, 4, 3] hints of the cells in network units, or None.
    num_values: R.

  Returns:
    q and x0, [..., h, w, 2] each, integers in float32.
  """
  logits = level_likelihood.offset_log_probs(theta, cells.coarse, num_values)
  gumbel = noise[..., :8].reshape(*noise.shape[:-1], 2, 4)
  q = jnp.argmax(logits + gumbel, -1).astype(jnp.float32)
  q = jnp.where(cells.has_hint, 0.0, q)
  interval = level_likelihood.first_interval(cells, q, num_values)
  x0 = _draw_value(theta[..., 8:], _value_noise(noise, 0), interval)
  return q, _put_hints(x0, hints, 0)


def _value_noise(noise: jax.Array, index: int) -> jax.Array:
  """Returns the noise [..., K + 2] of the fine value `index` in each cell."""
  size = level_likelihood.NUM_COMPONENTS + 2
  return noise[..., 8 + size * index : 8 + size * (index + 1)]


def sample_second(
  stages: level_likelihood.Stages,
  cells: level_likelihood.Cells,
  q_and_x0: tuple[jax.Array, jax.Array],
  *,
  noise: jax.Array,
  hints: jax.Array | None = None,
  num_values: int = levels.NUM_VALUES,
) -> jax.Array:
  """Draws x1, x2 and x3.

  Args:
    stages: outputs of the network. q and x0 were inputs of the second stage.
    cells: the coarse map with its first guesses.
    q_and_x0: q and x0, as returned by `sample_first`.
    noise, hints, num_values: see `sample_first`.

  Returns:
    [..., h, w, 4, 2] x0 to x3, integers in float32.
  """
  q, x0 = q_and_x0
  theta = level_likelihood.mixtures(stages)
  interval_1, interval_2_given, interval_3_given = (
    level_likelihood.second_intervals(
      stages.second, cells, q, x0=x0, num_values=num_values
    )
  )
  x1 = _draw_value(theta[1], _value_noise(noise, 1), interval_1)
  x1 = _put_hints(x1, hints, 1)
  x2 = _draw_value(theta[2], _value_noise(noise, 2), interval_2_given(x1))
  x2 = _put_hints(x2, hints, 2)
  x3 = _draw_value(theta[3], _value_noise(noise, 3), interval_3_given(x1, x2))
  x3 = _put_hints(x3, hints, 3)
  return jnp.stack([x0, x1, x2, x3], -2)
