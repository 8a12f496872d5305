"""Mixture of discretised logistics over the chroma of a pixel (paper sec. 3.2).

This is the likelihood of Salimans et al. 2017, sec. 2.1 and 2.2, for the two
channels a and b. Each channel has 256 grid values, which are
(k - 127.5) / 127.5 in network units, k = 0..255. They are one step apart:
"in steps" means network units times 127.5.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import heads, logistic_window

# Lower limit of log-scales, from the published code of Salimans et al. 2017.
LOG_SCALE_MIN = -7.0
STEPS_PER_UNIT = logistic_window.STEPS_PER_UNIT
# The highest grid value, in steps. The lowest is its negative.
HALF_RANGE = 127.5
# Log-scales and range of the means at the start of training. They are a better
# first guess than the uniform distribution, which costs 8 bits/dim.
INITIAL_LOG_SCALE = -3.0
INITIAL_MEAN_SPREAD = 0.25


class Mixture(NamedTuple):
  """Parameters of the mixtures of [...] pixels, in network units.

  Attributes:
    logits: [..., K] unnormalised log-weights of the components. A component
      covers both channels.
    coeffs: [..., 3, K] coefficients in (-1, 1), by which the mean of a depends
      on L, the mean of b on L, and the mean of b on a.
    means: [..., 2, K] means of a and b where L and a are 0.
    log_scales: [..., 2, K] log-scales of a and b, at least `LOG_SCALE_MIN`.
  """

  logits: jax.Array
  coeffs: jax.Array
  means: jax.Array
  log_scales: jax.Array


def unpack(theta: jax.Array) -> Mixture:
  """Splits raw network outputs theta [..., 8 K] into the parts of a mixture.

  theta[0:K] holds the logits. theta[K:4K], reshaped to (3, K), gives the coeffs
  through tanh. theta[4K:8K], reshaped to (2, 2, K), holds K means and K
  log-scales, first for a and then for b.

  Raises:
    ValueError: if the last dimension of theta is not a multiple of 8.
  """
  num_components, rest = divmod(theta.shape[-1], 8)
  if rest or not num_components:
    raise ValueError(
      'The last dimension of theta must be 8 times the number of components, '
      f'got an array of shape {theta.shape}.'
    )
  theta = theta.astype(jnp.float32)
  lead = theta.shape[:-1]
  logits = theta[..., :num_components]
  coeffs = theta[..., num_components : 4 * num_components]
  channels = theta[..., 4 * num_components :].reshape(
    *lead, 2, 2, num_components
  )  # [..., channel, (mean, log-scale), K]
  return Mixture(
    logits=logits,
    coeffs=jnp.tanh(coeffs.reshape(*lead, 3, num_components)),
    means=channels[..., 0, :],
    log_scales=jnp.maximum(channels[..., 1, :], LOG_SCALE_MIN),
  )


def initial_theta(num_components: int) -> tuple[float, ...]:
  """Returns the mean of each output theta [P] at the start of training."""
  means = np.linspace(-INITIAL_MEAN_SPREAD, INITIAL_MEAN_SPREAD, num_components)
  channel = [means, np.full(num_components, INITIAL_LOG_SCALE)]
  zeros = np.zeros(4 * num_components)
  theta = np.concatenate([zeros, *channel, *channel])
  return tuple(theta.astype(np.float32).tolist())


def conditional_means(
  mixture: Mixture, luminance: jax.Array, a: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Computes the means of a (given L) and the means of b (given L and a).

  Args:
    mixture: parameters of the mixture.
    luminance: [..., 1] in network units.
    a: [..., 1] in network units.

  Returns:
    Means of a and means of b, [..., K] each, in network units.
  """
  mean_a = mixture.means[..., 0, :] + mixture.coeffs[..., 0, :] * luminance
  mean_b = (
    mixture.means[..., 1, :]
    + mixture.coeffs[..., 1, :] * luminance
    + mixture.coeffs[..., 2, :] * a
  )
  return mean_a, mean_b


def _log_mixture(
  window_fn: logistic_window.WindowFn,
  theta: jax.Array,
  luminance: jax.Array,
  *,
  chroma: jax.Array,
  centres: jax.Array,
  is_lowest: jax.Array,
  is_highest: jax.Array,
) -> jax.Array:
  """Computes the log-mass of a mixture in the windows around a colour.

  Args:
    window_fn: `log_window` or `log_window_paper`.
    theta: [..., P] raw outputs.
    luminance: [..., 1] in network units.
    chroma: [..., 2] the colour in network units. The mean of b depends on its
      first channel.
    centres: [..., 2] centres of the windows, which are the colour in steps.
    is_lowest, is_highest: [..., 2] bool, see `logistic_window.log_window`.

  Returns:
    [...] nats.
  """
  mixture = unpack(theta)
  means = conditional_means(mixture, luminance, chroma[..., :1])
  log_weights = jax.nn.log_softmax(mixture.logits)
  for channel in range(2):
    log_weights = log_weights + window_fn(
      centres[..., channel, None] - STEPS_PER_UNIT * means[channel],
      mixture.log_scales[..., channel, :],
      is_lowest=is_lowest[..., channel, None],
      is_highest=is_highest[..., channel, None],
    )
  return jax.nn.logsumexp(log_weights, -1)


def log_mass(
  grid_values: jax.Array, means: jax.Array, log_scales: jax.Array
) -> jax.Array:
  """Computes the log-mass that logistics give to grid values.

  The lowest and the highest grid value take the tails.

  Args:
    grid_values: [...] in steps, from -`HALF_RANGE` to `HALF_RANGE`.
    means, log_scales: [...] in network units.

  Returns:
    [...] nats.
  """
  return logistic_window.log_window(
    grid_values - STEPS_PER_UNIT * means,
    log_scales,
    is_lowest=grid_values == -HALF_RANGE,
    is_highest=grid_values == HALF_RANGE,
  )


def nearest_grid_values(chroma: jax.Array) -> jax.Array:
  """Rounds chroma in network units to grid values in steps, -127.5..127.5.

  In steps the grid values are half-integers and the ends of their windows are
  integers. Both are exact in float32, so neighbouring windows share their ends
  bit for bit. The probabilities of all grid values therefore add up to 1 even
  for the sharpest mixtures.
  """
  grid_values = jnp.round(STEPS_PER_UNIT * chroma - 0.5) + 0.5
  return jnp.clip(grid_values, -HALF_RANGE, HALF_RANGE)


def log_prob(
  theta: jax.Array, luminance: jax.Array, chroma: jax.Array
) -> jax.Array:
  """Computes the exact log-probability of chroma on the integer grid, in nats.

  The lowest and the highest grid value take the tails of the logistics, so the
  probabilities of the 256 x 256 pairs add up to 1.

  Args:
    theta: [..., P] raw outputs, P = 8 K.
    luminance: [..., 1] in network units.
    chroma: [..., 2] in network units. Values off the grid or out of range get
      the log-probability of the nearest grid value.

  Returns:
    [...] float32.
  """
  grid_values = nearest_grid_values(chroma)
  return _log_mixture(
    logistic_window.log_window,
    theta,
    luminance,
    chroma=grid_values * (1.0 / STEPS_PER_UNIT),
    centres=grid_values,
    is_lowest=grid_values == -HALF_RANGE,
    is_highest=grid_values == HALF_RANGE,
  )


def log_prob_paper(
  theta: jax.Array, luminance: jax.Array, chroma: jax.Array
) -> jax.Array:
  """Computes the log-probability by the paper's rule, in nats.

  The paper's bits/dim come from this rule, as the authors' code defines it. The
  window is one Lab unit wide and centred on the *unrounded* target. Windows of
  targets beyond +-0.999 take the tails. Where a component has almost no mass in
  a window, its density replaces the mass. The result is a density smoothed by a
  box, not the probability of a grid value. On pixels with a sharp distribution
  this rule gives up to 0.38 bits/dim less than `log_prob`.

  Args:
    theta: [..., P] raw outputs, P = 8 K.
    luminance: [..., 1] in network units.
    chroma: [..., 2] in network units, not rounded.

  Returns:
    [...] float32.
  """
  return _log_mixture(
    logistic_window.log_window_paper,
    theta,
    luminance,
    chroma=chroma,
    centres=STEPS_PER_UNIT * chroma,
    is_lowest=chroma < -0.999,
    is_highest=chroma > 0.999,
  )


def bits_per_image(log_prob: jax.Array) -> jax.Array:
  """Converts log_prob [..., h, w] in nats to the bits [...] of a whole map."""
  return -log_prob.sum((-2, -1)) / np.log(2.0)


def bits_per_dim(
  log_prob: jax.Array, hints: jax.Array | None = None
) -> jax.Array:
  """Converts log-probabilities to bits per chroma value.

  Without hints the result is -sum(log_prob) / (ln 2 * h * w * 2).

  Args:
    log_prob: [..., h, w] in nats.
    hints: [..., h, w, 3], or None. Known cells are left out of the sum and of
      the count.

  Returns:
    [...] bits/dim.
  """
  if hints is None:
    height, width = log_prob.shape[-2:]
    return bits_per_image(log_prob) / (height * width * 2)
  is_unknown = 1.0 - hints[..., 2]
  count = jnp.maximum(is_unknown.sum((-2, -1)), 1.0)
  return bits_per_image(is_unknown * log_prob) / (2.0 * count)


def noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Draws the noise that `sample` turns into chroma.

  Args:
    key: PRNG key.
    shape: (..., K + 2).

  Returns:
    [..., K + 2] float32: standard Gumbel noise for each of the K components,
    then standard logistic noise for a and b.
  """
  # The bits are drawn as a flat array. Under `vmap` over keys, this compiles in
  # 0.6 s on CPU; the same draw in several dimensions takes 16 s.
  bits = jax.random.bits(key, (math.prod(shape),), jnp.uint32)
  return noise_from_bits(bits.reshape(shape))


def noise_from_bits(bits: jax.Array) -> jax.Array:
  """Converts random bits [..., K + 2] uint32 to noise, see `noise`.

  The bits become uniform numbers (k + 1/2) / 2^23, which are never 0 or 1, so
  the two tails of the logistic noise are finite and equally long (+-16.6). The
  lower tail of `jax.random.logistic` reaches -87.
  """
  u = ((bits >> 9).astype(jnp.float32) + 0.5) * 2.0**-23  # exact
  gumbel = -jnp.log(-jnp.log(u[..., :-2]))
  logistic = jnp.log(u[..., -2:]) - jnp.log1p(-u[..., -2:])
  return jnp.concatenate([gumbel, logistic], -1)


def sample(  # noqa: PLR0917  documented in docs/api.md
  theta: jax.Array,
  luminance: jax.Array,
  noise: jax.Array,
  temperature: float | jax.Array = 1.0,
) -> jax.Array:
  """Converts noise to a sample of chroma.

  Args:
    theta: [..., P] raw outputs.
    luminance: [..., 1] in network units.
    noise: [..., K + 2], see `noise`.
    temperature: factor of all noise, that is, of the noise that selects the
      component and of the noise of its logistics. 1 samples from the model, and
      0 gives `mode`.

  Returns:
    [..., 2] chroma in network units, on the integer grid.
  """
  mixture = unpack(theta)
  noise = temperature * noise
  component = jnp.argmax(mixture.logits + noise[..., :-2], -1)[..., None]

  def chosen(x: jax.Array) -> jax.Array:
    return jnp.take_along_axis(x, component, -1)  # [..., 1]

  def draw_channel(index: int, shift: float | jax.Array) -> jax.Array:
    scale = jnp.exp(chosen(mixture.log_scales[..., index, :]))
    value = (
      chosen(mixture.means[..., index, :])
      + chosen(mixture.coeffs[..., index, :]) * luminance
      + shift
      + scale * noise[..., index - 2, None]
    )
    # Multiply instead of dividing: XLA turns divisions into multiplications in
    # some programs but not in others, which would change the last bit.
    return nearest_grid_values(value) * (1.0 / STEPS_PER_UNIT)

  a = draw_channel(0, 0.0)
  b = draw_channel(1, chosen(mixture.coeffs[..., 2, :]) * a)
  return jnp.concatenate([a, b], -1)


def mode(theta: jax.Array, luminance: jax.Array) -> jax.Array:
  """Returns the rounded mean of the component with the largest weight.

  This is `sample` at temperature 0. It is not the joint mode of the mixture,
  which has no closed form.

  Args:
    theta: [..., P] raw outputs.
    luminance: [..., 1] in network units.

  Returns:
    [..., 2] chroma in network units, on the integer grid.
  """
  num_components = theta.shape[-1] // 8
  zeros = jnp.zeros((*theta.shape[:-1], num_components + 2))
  return sample(theta, luminance, zeros)


def build_head(num_components: int) -> heads.Head:
  """Builds the head whose theta is a mixture of `num_components` logistics."""
  return heads.Head(initial_theta(num_components), mode, log_prob)
