"""Classification of chroma into bins (Zhang et al. 2016; Larsson et al. 2016).

The network predicts a histogram of (a, b) for each pixel. Zhang et al. give
rare colours a larger weight in the loss, and take the annealed mean of the
histogram as the colour. Larsson et al. use no weights, and take the medians of
two histograms, one for channel a and one for channel b. Here these two are the
marginals of one joint histogram.
"""

import functools
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color
from pic_jax.model import heads

# The next four constants are taken from Zhang et al. 2016, sec. 2.
# Side of a bin, in Lab units.
BIN_SIDE = 10.0
# A target colour is spread over its nearest bins with Gaussian weights. These
# are the standard deviation of the Gaussian in Lab units, and the number of
# bins.
SOFT_SIGMA = 5.0
NUM_NEAREST = 5
# Temperature of the annealed mean.
TEMPERATURE = 0.38
# Share of the uniform distribution that is mixed into the colour frequencies
# before the weights are computed (lambda in Zhang et al. 2016, sec. 2.2).
UNIFORM_SHARE = 0.5
# `bins` tries every colour whose R, G and B are multiples of this.
CUBE_STEP = 5


@functools.cache
def bins() -> np.ndarray:
  """Returns the centres [Q, 2] of bins that contain sRGB colours, in Lab units.

  *Differs from* Zhang et al. 2016, who count 313 such bins. Here a bin is kept
  if at least one of the 8-bit colours that are tried (see `CUBE_STEP`) falls
  into it, so every bin can be a target. This gives Q = 260.
  """
  values = np.arange(0, 256, CUBE_STEP, dtype=np.uint8)
  cube = np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 3)
  with jax.ensure_compile_time_eval():
    chroma = np.asarray(color.rgb_to_lab(cube))[:, 1:]
  return BIN_SIDE * np.unique(np.round(chroma / BIN_SIDE), axis=0).astype(
    np.float32
  )


def _squared_distances(chroma: jax.Array) -> jax.Array:
  """Computes the squared distances [..., Q] from chroma to every bin.

  Args:
    chroma: [..., 2] in Lab units.
  """
  centres = bins()
  squares_a, squares_b = (
    jnp.square(
      chroma[..., channel, None]
      - centres[:, channel].reshape((1,) * (chroma.ndim - 1) + (-1,))
    )
    for channel in range(2)
  )
  return squares_a + squares_b


def soft_targets(chroma: jax.Array) -> jax.Array:
  """Spreads colours over their nearest bins (Zhang et al. 2016, sec. 2.1).

  Args:
    chroma: [..., 2] in Lab units.

  Returns:
    [..., Q] weights that add up to 1; all but `NUM_NEAREST` of them are 0.
  """
  negative_distances, nearest = jax.lax.top_k(
    -_squared_distances(chroma), NUM_NEAREST
  )
  weights = jax.nn.softmax(negative_distances / (2 * SOFT_SIGMA**2), -1)
  # The bins are added one after another, because adding all of them at once
  # would need `NUM_NEAREST` times the memory.
  shares = (
    weights[..., i, None] * jax.nn.one_hot(nearest[..., i], len(bins()))
    for i in range(NUM_NEAREST)
  )
  return functools.reduce(operator.add, shares)


def class_weights(
  counts: np.ndarray, uniform_share: float = UNIFORM_SHARE
) -> np.ndarray:
  """Computes weights that are larger for rare colours.

  Zhang et al. 2016, sec. 2.2: w ~ 1 / ((1 - lambda) p + lambda / Q). Here p is
  the frequency of each bin, smoothed by a Gaussian (see `SOFT_SIGMA`). The mean
  of w under p is 1.

  Args:
    counts: [Q] number of pixels in every bin.
    uniform_share: lambda; 1 gives every colour the same weight.

  Returns:
    [Q] float32.
  """
  distances = np.square(bins()[:, None] - bins()).sum(-1)
  kernel = np.exp(-distances / (2 * SOFT_SIGMA**2))
  kernel /= kernel.sum(0)
  frequencies = kernel @ (counts / counts.sum())
  weights = 1.0 / (
    (1.0 - uniform_share) * frequencies + uniform_share / len(frequencies)
  )
  return (weights / (frequencies @ weights)).astype(np.float32)


def count(chroma: jax.Array) -> jax.Array:
  """Counts the pixels in every bin.

  Args:
    chroma: [..., 2] in Lab units.

  Returns:
    [Q] integers.
  """
  nearest = _squared_distances(chroma.reshape(-1, 2)).argmin(-1)
  return jnp.bincount(nearest, length=len(bins()))


def loss(
  theta: jax.Array, chroma: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
  """Computes the cross-entropy with soft targets (Zhang et al. 2016, eq. 2).

  Args:
    theta: [..., Q] logits.
    chroma: [..., 2] in network units, on the integer grid.
    weights: [Q] weights from `class_weights`, or None for equal weights. A
      pixel has the weight of its nearest bin.

  Returns:
    [...] cross-entropies in nats, multiplied by the weights.
  """
  chroma = color.round_chroma(color.chroma_from_network(chroma))
  targets = soft_targets(chroma)
  cross_entropy = -(targets * jax.nn.log_softmax(theta, -1)).sum(-1)
  if weights is None:
    return cross_entropy
  return cross_entropy * jnp.asarray(weights)[targets.argmax(-1)]


def annealed_mean(theta: jax.Array) -> jax.Array:
  """Computes the mean of a sharpened histogram (Zhang et al. 2016, sec. 2.3).

  Args:
    theta: [..., Q] logits.

  Returns:
    [..., 2] chroma in Lab units.
  """
  return _product(jax.nn.softmax(theta / TEMPERATURE, -1), bins())


def median(theta: jax.Array) -> jax.Array:
  """Computes the medians of the channels a and b (Larsson et al. 2016).

  Args:
    theta: [..., Q] logits.

  Returns:
    [..., 2] chroma in Lab units.
  """
  probabilities = jax.nn.softmax(theta, -1)
  return jnp.stack(
    [_median(probabilities, bins()[:, channel]) for channel in range(2)], -1
  )


def _product(x: jax.Array, matrix: np.ndarray) -> jax.Array:
  # On TPU the default precision of a matrix product is bfloat16.
  return jnp.matmul(x, matrix, precision='highest')


def _median(probabilities: jax.Array, centres: np.ndarray) -> jax.Array:
  """Computes the median of one channel; each bin is uniform over its width.

  Args:
    probabilities: [..., Q] probabilities of the bins.
    centres: [Q] centres of the bins in this channel, in Lab units.

  Returns:
    [...] Lab units.
  """
  marginal_centres, index = np.unique(centres, return_inverse=True)
  to_marginal = np.eye(len(marginal_centres), dtype=np.float32)[index]
  marginal = _product(probabilities, to_marginal)
  prob_below = jnp.cumsum(marginal, -1) - marginal  # of all lower bins
  # The median lies in the last bin whose `prob_below` is less than one half.
  median_bin = (prob_below < 0.5).sum(-1, keepdims=True) - 1
  missing = 0.5 - jnp.take_along_axis(prob_below, median_bin, -1)
  bin_prob = jnp.take_along_axis(marginal, median_bin, -1)
  fraction = missing / jnp.maximum(bin_prob, 1e-12)
  lower_end = jnp.asarray(marginal_centres)[median_bin] - 0.5 * BIN_SIDE
  return (lower_end + BIN_SIDE * fraction)[..., 0]


def _build_head(colour_fn: Callable[[jax.Array], jax.Array]) -> heads.Head:
  """Builds the head for a function from theta to chroma in Lab units."""

  def estimate(theta: jax.Array, luminance: jax.Array) -> jax.Array:
    del luminance
    return color.chroma_to_network(color.round_chroma(colour_fn(theta)))

  return heads.Head((0.0,) * len(bins()), estimate, loss=loss)


def build_head(num_components: int) -> heads.Head:
  """Builds the head of Zhang et al. 2016, which takes the annealed mean.

  Its loss takes the weights that `training.colour_frequencies` computes.
  """
  del num_components
  return _build_head(annealed_mean)


def build_median_head(num_components: int) -> heads.Head:
  """Builds the head of Larsson et al. 2016, which takes the medians.

  It is trained without weights.
  """
  del num_components
  return _build_head(median)
