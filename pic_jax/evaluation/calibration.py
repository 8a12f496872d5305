"""Calibration of the mixture, measured by probability integral transforms.

The probability integral transform (PIT) of an observation is the predicted cdf
at the observed value. PITs are uniformly distributed if the observations were
drawn from the predicted distributions (Dawid 1984).
"""

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import logistic_mixture

NUM_BINS = 20


def transform(
  theta: jax.Array, luminance: jax.Array, chroma: jax.Array, *, noise: jax.Array
) -> jax.Array:
  """Computes the randomised PITs of channel a, and of channel b given a.

  The PIT of a discrete value x is F(x-) + v pmf(x). Here F(x-) is the cdf just
  below x, and v is uniform noise (Czado et al. 2009, sec. 2). The weights of
  the mixture for b are the posterior weights given a, w_k p_k(a) / sum_j w_j
  p_j(a). The lowest and the highest grid value take the tails.

  Args:
    theta: [..., P] raw outputs, P = 8 K.
    luminance: [..., 1] in network units.
    chroma: [..., 2] in network units, on the integer grid.
    noise: [..., 2] uniform in [0, 1), the v of the formula.

  Returns:
    PITs [..., 2] of a and b in [0, 1]; uniformly distributed if theta describes
    the true distribution.
  """
  mixture = logistic_mixture.unpack(theta)
  grid_values = logistic_mixture.nearest_grid_values(chroma)
  means = logistic_mixture.conditional_means(
    mixture,
    luminance,
    grid_values[..., :1] * (1.0 / logistic_mixture.STEPS_PER_UNIT),
  )
  log_weights = mixture.logits
  pits = []
  for channel in range(2):
    # `value`, `centred` and `scales` are in steps, see `logistic_mixture`.
    value = grid_values[..., channel, None]
    is_lowest = value == -logistic_mixture.HALF_RANGE
    is_highest = value == logistic_mixture.HALF_RANGE
    centred = value - logistic_mixture.STEPS_PER_UNIT * means[channel]
    log_scales = mixture.log_scales[..., channel, :]
    scales = logistic_mixture.STEPS_PER_UNIT * jnp.exp(log_scales)
    lower = jnp.where(is_lowest, 0.0, jax.nn.sigmoid((centred - 0.5) / scales))
    upper = jnp.where(is_highest, 1.0, jax.nn.sigmoid((centred + 0.5) / scales))
    component_pits = lower + noise[..., channel, None] * (upper - lower)
    pits.append((jax.nn.softmax(log_weights) * component_pits).sum(-1))
    # The posterior weights are computed in the log domain, because p_k(a)
    # underflows far in the tails.
    log_weights = log_weights + logistic_mixture.log_mass(
      value, means[channel], log_scales
    )
  return jnp.stack(pits, -1)


def histogram(values: jax.Array) -> jax.Array:
  """Computes the share of each image's values in `NUM_BINS` equal bins.

  Args:
    values: [B, h, w] in [0, 1].

  Returns:
    Shares [B, NUM_BINS], which sum to 1 over the bins.
  """
  bins = jnp.minimum((NUM_BINS * values).astype(jnp.int32), NUM_BINS - 1)
  return jax.nn.one_hot(bins, NUM_BINS).mean((1, 2))


def distance(shares: np.ndarray) -> float:
  """Computes the largest gap between a histogram's cdf and the uniform cdf.

  This is the Kolmogorov-Smirnov statistic, evaluated only at the edges of bins.

  Args:
    shares: [NUM_BINS], with a sum of 1.

  Returns:
    The distance, in [0, 1); 0 if all shares are equal.
  """
  uniform = np.arange(1, len(shares) + 1) / len(shares)
  return float(np.abs(np.cumsum(shares) - uniform).max())
