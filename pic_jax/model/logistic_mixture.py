"""Mixture of discretised logistics over the chroma of a pixel (paper sec. 3.2).

Salimans et al. 2017, sec. 2.1 and 2.2, for the two channels a and b. Values
are in network units: level k = 0..255 of a channel is (k - 127.5) / 127.5.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import heads, logistic_window

# Salimans et al. 2017, published code.
LOG_SCALE_MIN = -7.0
LEVELS_PER_UNIT = logistic_window.LEVELS_PER_UNIT
HALF_RANGE = 127.5
# Start of the heads: a first guess that is better than uniform (8 bits/dim).
INITIAL_LOG_SCALE = -3.0
INITIAL_MEAN_SPREAD = 0.25


class Mixture(NamedTuple):
  """Parameters of the mixtures of [...] pixels, in network units.

  Attributes:
    logits: [..., K] unnormalised log-weights, one choice for both channels.
    coeffs: [..., 3, K] in (-1, 1): L -> a, L -> b, a -> b.
    means: [..., 2, K] means of a and b where L and a are 0.
    log_scales: [..., 2, K], at least `LOG_SCALE_MIN`.
  """

  logits: jax.Array
  coeffs: jax.Array
  means: jax.Array
  log_scales: jax.Array


def unpack(theta: jax.Array) -> Mixture:
  """Splits raw network outputs theta [..., 8 K] into the parts of a mixture.

  theta[0:K] are the logits; theta[K:4K] as (3, K), through tanh, the coeffs;
  theta[4K:8K] as (2, 2 K): for a, then b, K means and K log-scales.
  """
  num_components, rest = divmod(theta.shape[-1], 8)
  if rest or not num_components:
    raise ValueError(
      f'The last side of theta must be 8 x components, got {theta.shape}.'
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
  """Means [P] of the outputs at the start of training."""
  means = np.linspace(-INITIAL_MEAN_SPREAD, INITIAL_MEAN_SPREAD, num_components)
  channel = [means, np.full(num_components, INITIAL_LOG_SCALE)]
  zeros = np.zeros(4 * num_components)
  theta = np.concatenate([zeros, *channel, *channel])
  return tuple(theta.astype(np.float32).tolist())


def conditional_means(
  mixture: Mixture, luminance: jax.Array, a: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Means [..., K] of a given L and of b given L and a (both [..., 1])."""
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
  levels: jax.Array,
  is_lowest: jax.Array,
  is_highest: jax.Array,
) -> jax.Array:
  """Log-mass [...] of the windows around `levels` [..., 2], by `window_fn`."""
  mixture = unpack(theta)
  means = conditional_means(mixture, luminance, chroma[..., :1])
  log_weights = jax.nn.log_softmax(mixture.logits)
  for channel in range(2):
    log_weights = log_weights + window_fn(
      levels[..., channel, None] - LEVELS_PER_UNIT * means[channel],
      mixture.log_scales[..., channel, :],
      is_lowest=is_lowest[..., channel, None],
      is_highest=is_highest[..., channel, None],
    )
  return jax.nn.logsumexp(log_weights, -1)


def log_mass(
  levels: jax.Array, means: jax.Array, log_scales: jax.Array
) -> jax.Array:
  """Log-mass [...] that logistics give to levels; the edges take the tails.

  Args:
    levels: from -`HALF_RANGE` to `HALF_RANGE`.
    means, log_scales: in network units.
  """
  return logistic_window.log_window(
    levels - LEVELS_PER_UNIT * means,
    log_scales,
    is_lowest=levels == -HALF_RANGE,
    is_highest=levels == HALF_RANGE,
  )


def nearest_levels(chroma: jax.Array) -> jax.Array:
  """Nearest levels, counted from the middle: -127.5, -126.5 .. 127.5.

  Half-integers are exact in float32, so that the upper end of one level's
  window is, bit for bit, the lower end of the next one's, and the
  probabilities of all levels add up to 1 for the sharpest mixtures, too.
  """
  levels = jnp.round(LEVELS_PER_UNIT * chroma - 0.5) + 0.5
  return jnp.clip(levels, -HALF_RANGE, HALF_RANGE)


def log_prob(
  theta: jax.Array, luminance: jax.Array, chroma: jax.Array
) -> jax.Array:
  """Exact log-probability of the integer chroma, in nats.

  The probabilities of the 256 x 256 pairs sum to 1: the edge levels take the
  tails of the logistics.

  Args:
    theta: [..., P] raw outputs, P = 8 K.
    luminance: [..., 1] in network units.
    chroma: [..., 2] in network units, on the integer grid; values off the grid
      or out of range are those of the nearest level.

  Returns:
    [...] float32.
  """
  levels = nearest_levels(chroma)
  return _log_mixture(
    logistic_window.log_window,
    theta,
    luminance,
    chroma=levels * (1.0 / LEVELS_PER_UNIT),
    levels=levels,
    is_lowest=levels == -HALF_RANGE,
    is_highest=levels == HALF_RANGE,
  )


def log_prob_paper(
  theta: jax.Array, luminance: jax.Array, chroma: jax.Array
) -> jax.Array:
  """Log-probability under the authors' rule, in nats (the paper's bits/dim).

  A window of one Lab unit, centred on the *unrounded* target; tails where
  |x| > 0.999; the density where a component gives its window next to nothing.
  It is a density smoothed by a box, not the probability of a code, and up to
  0.38 bits/dim better than `log_prob` on sharp pixels.

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
    levels=LEVELS_PER_UNIT * chroma,
    is_lowest=chroma < -0.999,
    is_highest=chroma > 0.999,
  )


def bits_per_image(log_prob: jax.Array) -> jax.Array:
  """Bits [...] for all chroma values of a map; log_prob [..., h, w] in nats."""
  return -log_prob.sum((-2, -1)) / np.log(2.0)


def bits_per_dim(
  log_prob: jax.Array, hints: jax.Array | None = None
) -> jax.Array:
  """Bits [...] per chroma value: nats / (ln 2 * h * w * 2).

  Args:
    log_prob: [..., h, w] in nats.
    hints: [..., h, w, 3]; known cells are excluded.
  """
  if hints is None:
    height, width = log_prob.shape[-2:]
    return bits_per_image(log_prob) / (height * width * 2)
  others = 1.0 - hints[..., 2]
  count = jnp.maximum(others.sum((-2, -1)), 1.0)
  return bits_per_image(others * log_prob) / (2.0 * count)


def noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Draws the noise that `sample` turns into chroma.

  Args:
    key: PRNG key.
    shape: (..., K + 2).

  Returns:
    [..., K + 2] float32: standard Gumbel for each of the K components, then
    standard logistic for a and b.
  """
  # One draw, and flat: the same bits in several dimensions, mapped over keys,
  # take 16 s to compile on CPU in place of 0.6.
  bits = jax.random.bits(key, (math.prod(shape),), jnp.uint32)
  return noise_from_bits(bits.reshape(shape))


def noise_from_bits(bits: jax.Array) -> jax.Array:
  """`noise` from random bits [..., K + 2] uint32.

  Its uniform numbers (k + 1/2) / 2^23 are never 0 or 1, unlike those of
  `jax.random.uniform`, whose 0 gives a logistic of -87 instead of -16: both
  tails are finite and equally long.
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
  """Turns noise into chroma.

  Args:
    theta: [..., P] raw outputs.
    luminance: [..., 1] in network units.
    noise: [..., K + 2], see `noise`.
    temperature: scales the Gumbel noise of the component choice and the
      logistic noise; 1 samples from the model, 0 gives `mode`.

  Returns:
    [..., 2] chroma in network units, on the integer grid.
  """
  mixture = unpack(theta)
  noise = temperature * noise
  component = jnp.argmax(mixture.logits + noise[..., :-2], -1)[..., None]

  def chosen(x: jax.Array) -> jax.Array:
    return jnp.take_along_axis(x, component, -1)  # [..., 1]

  def channel(index: int, offset: jax.Array) -> jax.Array:
    scale = jnp.exp(chosen(mixture.log_scales[..., index, :]))
    value = (
      chosen(mixture.means[..., index, :])
      + chosen(mixture.coeffs[..., index, :]) * luminance
      + offset
      + scale * noise[..., index - 2, None]
    )
    # A product: XLA may turn a division into one, or not, by context.
    return nearest_levels(value) * (1.0 / LEVELS_PER_UNIT)

  a = channel(0, 0.0)
  b = channel(1, chosen(mixture.coeffs[..., 2, :]) * a)
  return jnp.concatenate([a, b], -1)


def mode(theta: jax.Array, luminance: jax.Array) -> jax.Array:
  """Rounded mean of the heaviest component: `sample` at temperature 0.

  Not the joint mode of the mixture, which has no closed form.

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
  """The head whose theta is a mixture of this many logistics."""
  return heads.Head(initial_theta(num_components), mode, log_prob)
