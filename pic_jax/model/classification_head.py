"""Classification of chroma into bins (Zhang et al. 2016; Larsson et al. 2016).

Zhang et al. weight rare colours up and take the annealed mean; Larsson et al.
use no weights and take the median (of histograms of a and of b; here of the two
margins of one histogram).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color
from pic_jax.model import heads

# Zhang et al. 2016, sec. 2: side of a bin and width of the soft assignment to
# its nearest bins, Lab units; temperature of the annealed mean.
BIN_SIDE = 10.0
SOFT_SIGMA = 5.0
NUM_NEAREST = 5
TEMPERATURE = 0.38
# Share of the uniform distribution in the frequencies that weigh rare colours
# up (lambda in Zhang et al. 2016, sec. 2.2).
UNIFORM_SHARE = 0.5
# Steps between the sRGB colours by which the bins are found.
CUBE_STEP = 5


@functools.cache
def bins() -> np.ndarray:
  """Centres [Q, 2] of the bins that hold a colour of sRGB, Lab units.

  Differs from Zhang et al. 2016, who count 313 such bins: here a bin
  counts if a colour of the 8-bit cube falls into it, so that each can be a
  target.
  """
  levels = np.arange(0, 256, CUBE_STEP, dtype=np.uint8)
  cube = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
  with jax.ensure_compile_time_eval():
    chroma = np.asarray(color.rgb_to_lab(cube))[:, 1:]
  return BIN_SIDE * np.unique(np.round(chroma / BIN_SIDE), axis=0).astype(
    np.float32
  )


def _squared_distances(chroma: jax.Array) -> jax.Array:
  """[..., Q] from (a, b) [..., 2] in Lab units to every bin."""
  centres = bins()
  return sum(
    jnp.square(
      chroma[..., channel, None]
      - centres[:, channel].reshape((1,) * (chroma.ndim - 1) + (-1,))
    )
    for channel in range(2)
  )


def soft_targets(chroma: jax.Array) -> jax.Array:
  """Spreads colours over their nearest bins (Zhang et al. 2016, sec. 2.1).

  Args:
    chroma: [..., 2] in Lab units.

  Returns:
    [..., Q], sums to 1; all but `NUM_NEAREST` are 0.
  """
  negative, nearest = jax.lax.top_k(-_squared_distances(chroma), NUM_NEAREST)
  weights = jax.nn.softmax(negative / (2 * SOFT_SIGMA**2), -1)
  return sum(  # one after another: all at once need `NUM_NEAREST` times more
    weights[..., i, None] * jax.nn.one_hot(nearest[..., i], len(bins()))
    for i in range(NUM_NEAREST)
  )


def class_weights(
  counts: np.ndarray, uniform_share: float = UNIFORM_SHARE
) -> np.ndarray:
  """Weights that make rare colours count (Zhang et al. 2016, sec. 2.2).

  w ~ 1 / ((1 - l) p + l / Q), with mean 1 under p, the frequency of the bins
  after smoothing with `SOFT_SIGMA`.

  Args:
    counts: [Q] of pixels in every bin.
    uniform_share: l; 1 gives every colour the same weight.

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
  """Counts the pixels [Q] in every bin; chroma [..., 2] in Lab units."""
  nearest = _squared_distances(chroma.reshape(-1, 2)).argmin(-1)
  return jnp.bincount(nearest, length=len(bins()))


def loss(
  theta: jax.Array, chroma: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
  """Cross-entropy with the soft targets (Zhang et al. 2016, eq. 2).

  Args:
    theta: [..., Q] logits.
    chroma: [..., 2] in network units, on the integer grid.
    weights: [Q] of `class_weights`, looked up by a pixel's nearest bin; None
      for equal weights.

  Returns:
    [...] nats.
  """
  chroma = color.round_chroma(color.chroma_from_network(chroma))
  targets = soft_targets(chroma)
  entropy = -(targets * jax.nn.log_softmax(theta, -1)).sum(-1)
  if weights is None:
    return entropy
  return entropy * jnp.asarray(weights)[targets.argmax(-1)]


def annealed_mean(theta: jax.Array) -> jax.Array:
  """Chroma [..., 2] in Lab units of theta [..., Q]: the mean after sharpening.

  Zhang et al. 2016, sec. 2.3.
  """
  return _product(jax.nn.softmax(theta / TEMPERATURE, -1), bins())


def median(theta: jax.Array) -> jax.Array:
  """The medians of a and of b, as `annealed_mean` (Larsson et al. 2016)."""
  probabilities = jax.nn.softmax(theta, -1)
  return jnp.stack(
    [_median(probabilities, bins()[:, channel]) for channel in range(2)], -1
  )


def _product(x: jax.Array, matrix: np.ndarray) -> jax.Array:
  # On TPU the default precision is bfloat16.
  return jnp.matmul(x, matrix, precision='highest')


def _median(probabilities: jax.Array, centres: np.ndarray) -> jax.Array:
  """Median [...] of a margin; colours are spread evenly within a bin."""
  levels, index = np.unique(centres, return_inverse=True)
  is_level = np.eye(len(levels), dtype=np.float32)[index]
  margin = _product(probabilities, is_level)
  below = jnp.cumsum(margin, -1) - margin
  # The last bin that begins below one half.
  place = (below < 0.5).sum(-1, keepdims=True) - 1
  share = (0.5 - jnp.take_along_axis(below, place, -1)) / jnp.maximum(
    jnp.take_along_axis(margin, place, -1), 1e-12
  )
  start = jnp.asarray(levels)[place] - 0.5 * BIN_SIDE
  return (start + BIN_SIDE * share)[..., 0]


def _build_head(summary: Callable[[jax.Array], jax.Array]) -> heads.Head:
  def estimate(theta: jax.Array, luminance: jax.Array) -> jax.Array:
    del luminance
    return color.chroma_to_network(color.round_chroma(summary(theta)))

  return heads.Head((0.0,) * len(bins()), estimate, loss=loss)


def build_head(num_components: int) -> heads.Head:
  """The head of Zhang et al. 2016: the annealed mean of a histogram.

  `colour_frequencies` weighs rare colours up for it.
  """
  del num_components
  return _build_head(annealed_mean)


def build_median_head(num_components: int) -> heads.Head:
  """The head of Larsson et al. 2016: the median, without weights."""
  del num_components
  return _build_head(median)
