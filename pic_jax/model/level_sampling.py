"""Draws a finer level of the chroma given the coarser one; see `levels`."""

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import level_likelihood, levels, logistic_mixture


def noise(key: jax.Array, height: int, width: int) -> jax.Array:
  """Noise of one sample of a level, [h, w, 8 + 4 (K + 2)] float32.

  Gumbel for q of a and b, then what `logistic_mixture.noise` has for x0 to x3.
  """
  shape = (height, width, 8 + 4 * (level_likelihood.NUM_COMPONENTS + 2))
  bits = jax.random.bits(key, (int(np.prod(shape)),), jnp.uint32)
  bits = bits.reshape(shape)
  # `noise_from_bits` makes the last two logistic. q needs none: two are spare.
  values = bits[..., 8:].reshape(
    height, width, 4, level_likelihood.NUM_COMPONENTS + 2
  )
  values = logistic_mixture.noise_from_bits(values)
  spare = jnp.zeros((height, width, 2), jnp.uint32)
  of_q = jnp.concatenate([bits[..., :8], spare], -1)
  of_q = logistic_mixture.noise_from_bits(of_q)[..., :8]
  return jnp.concatenate([of_q, values.reshape(height, width, -1)], -1)


def _draw_value(
  theta: jax.Array, noise: jax.Array, within: level_likelihood.Interval
) -> jax.Array:
  """Values [..., 2] of noise [..., K + 2], see `logistic_mixture.noise`."""
  mixture = level_likelihood.unpack(theta)
  component = jnp.argmax(mixture.logits + noise[..., :-2], -1)[..., None]

  def channel(index: int, offset: jax.Array) -> jax.Array:
    scale = jnp.take_along_axis(
      mixture.log_scales[..., index, :], component, -1
    )
    mean = jnp.take_along_axis(mixture.means[..., index, :], component, -1)
    value = logistic_mixture.STEPS_PER_UNIT * (
      mean + jnp.exp(scale) * noise[..., index - 2, None]
    )
    guess = within.guess[..., index : index + 1]
    # Upwards from halves, like the windows of `logistic_window`.
    value = jnp.floor(guess + offset + value + 0.5)
    low, high = (x[..., index : index + 1] for x in (within.low, within.high))
    return jnp.clip(value, low, high)

  a = channel(0, jnp.zeros_like(within.guess[..., :1]))
  coeff = jnp.take_along_axis(mixture.coeffs, component, -1)
  b = channel(1, coeff * (a - within.guess[..., :1]))
  return jnp.concatenate([a, b], -1)


def _put(x: jax.Array, hints: jax.Array | None, index: int) -> jax.Array:
  """Values [..., 2] of a cell's place, the known ones [..., 4, 3] in them."""
  if hints is None:
    return x
  known = hints[..., index, :]
  return jnp.where(known[..., 2:] > 0, levels.from_network(known[..., :2]), x)


def sample_first(
  theta: jax.Array,
  cells: level_likelihood.Cells,
  noise: jax.Array,
  *,
  hints: jax.Array | None = None,
  num_values: int = levels.NUM_VALUES,
) -> tuple[jax.Array, jax.Array]:
  """Draws q and x0, [..., h, w, 2] each.

  Args:
    theta: [..., h, w, `FIRST_OUTPUTS`].
    cells: the coarse map.
    noise: times the temperature, see `noise`.
    hints: [..., h, w, 4, 3], or None.
    num_values: R.
  """
  logits = level_likelihood.offset_log_probs(theta, cells.coarse, num_values)
  gumbel = noise[..., :8].reshape(*noise.shape[:-1], 2, 4)
  q = jnp.argmax(logits + gumbel, -1).astype(jnp.float32)
  q = jnp.where(cells.has_hint, 0.0, q)
  within = level_likelihood.first_interval(cells, q, num_values)
  x0 = _draw_value(theta[..., 8:], _noise_of(noise, 0), within)
  return q, _put(x0, hints, 0)


def _noise_of(noise: jax.Array, index: int) -> jax.Array:
  """[..., K + 2] of value `index` of a cell."""
  size = level_likelihood.NUM_COMPONENTS + 2
  return noise[..., 8 + size * index : 8 + size * (index + 1)]


def sample_second(
  stages: level_likelihood.Stages,
  cells: level_likelihood.Cells,
  first: tuple[jax.Array, jax.Array],
  *,
  noise: jax.Array,
  hints: jax.Array | None = None,
  num_values: int = levels.NUM_VALUES,
) -> jax.Array:
  """Draws x1, x2 and x3; returns all four values [..., h, w, 4, 2].

  Args:
    stages: `stages.second` must be computed from `first`.
    cells: the coarse map.
    first: q and x0, see `sample_first`.
    noise, hints, num_values: see `sample_first`.
  """
  q, x0 = first
  theta = level_likelihood.mixtures(stages)
  interval_1, interval_2, interval_3 = level_likelihood.second_intervals(
    stages.second, cells, q, x0=x0, num_values=num_values
  )
  x1 = _put(_draw_value(theta[1], _noise_of(noise, 1), interval_1), hints, 1)
  x2 = _draw_value(theta[2], _noise_of(noise, 2), interval_2(x1))
  x2 = _put(x2, hints, 2)
  x3 = _draw_value(theta[3], _noise_of(noise, 3), interval_3(x1, x2))
  return jnp.stack([x0, x1, x2, _put(x3, hints, 3)], -2)
