"""Calibration of the mixture by probability integral transforms.

The cdf at an observation is uniform if the observation was drawn from that cdf
(Dawid 1984).
"""

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import logistic_mixture

NUM_BINS = 20


def transform(
  theta: jax.Array, luminance: jax.Array, chroma: jax.Array, *, noise: jax.Array
) -> jax.Array:
  """Computes the randomised transform F(x-) + v pmf(x) of a, and of b given a.

  Czado et al. 2009, sec. 2. The weights of the components for b are those that
  a leaves: w_k p_k(a) / sum_j w_j p_j(a). The edge levels take the tails.

  Args:
    theta: [..., P] raw outputs, P = 8 K.
    luminance: [..., 1] in network units.
    chroma: [..., 2] in network units, on the integer grid.
    noise: [..., 2] uniform in [0, 1): v.

  Returns:
    [..., 2] in [0, 1], uniform if theta is right.
  """
  mixture = logistic_mixture.unpack(theta)
  levels = logistic_mixture.nearest_levels(chroma)
  means = logistic_mixture.conditional_means(
    mixture,
    luminance,
    levels[..., :1] * (1.0 / logistic_mixture.LEVELS_PER_UNIT),
  )
  log_weights = mixture.logits
  found = []
  for channel in range(2):
    level = levels[..., channel, None]
    is_lowest = level == -logistic_mixture.HALF_RANGE
    is_highest = level == logistic_mixture.HALF_RANGE
    centred = level - logistic_mixture.LEVELS_PER_UNIT * means[channel]
    log_scales = mixture.log_scales[..., channel, :]
    scales = logistic_mixture.LEVELS_PER_UNIT * jnp.exp(log_scales)
    below = jnp.where(is_lowest, 0.0, jax.nn.sigmoid((centred - 0.5) / scales))
    upto = jnp.where(is_highest, 1.0, jax.nn.sigmoid((centred + 0.5) / scales))
    share = noise[..., channel, None]
    weights = jax.nn.softmax(log_weights)
    found.append((weights * (below + share * (upto - below))).sum(-1))
    # In the log domain: far in the tails, every p_k(a) underflows.
    log_weights = log_weights + logistic_mixture.log_mass(
      level, means[channel], log_scales
    )
  return jnp.stack(found, -1)


def histogram(values: jax.Array) -> jax.Array:
  """[B, NUM_BINS] shares of values [B, h, w] in [0, 1], bins of one width."""
  bins = jnp.minimum((NUM_BINS * values).astype(jnp.int32), NUM_BINS - 1)
  return jax.nn.one_hot(bins, NUM_BINS).mean((1, 2))


def distance(shares: np.ndarray) -> float:
  """Largest difference of a histogram's cdf from the uniform one's.

  Kolmogorov-Smirnov, at the edges of the bins only.

  Args:
    shares: [NUM_BINS], sum 1.

  Returns:
    In [0, 1); 0 for calibrated forecasts.
  """
  uniform = np.arange(1, len(shares) + 1) / len(shares)
  return float(np.abs(np.cumsum(shares) - uniform).max())
