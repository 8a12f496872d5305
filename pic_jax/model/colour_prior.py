"""Prior of colours, a smoothed histogram of training chroma.

Guidance (see `sampling.conditions`) should prefer colours that fit the picture.
The embedding's likelihood alone prefers grey, because grey is common. The
likelihood divided by a power of the prior measures how much the picture
suggests a colour, and not how common the colour is.
"""

import base64
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

# Number of grid values of a channel that share a bin.
VALUES_PER_BIN = 4
NUM_BINS = 256 // VALUES_PER_BIN
# Standard deviation of the smoothing Gaussian, in steps of the grid.
SMOOTHING_SIGMA = 3.0
# Share of the uniform distribution that is mixed in, so that every colour has a
# positive probability.
UNIFORM_SHARE = 0.04


def make(chroma: Iterable[np.ndarray]) -> np.ndarray:
  """Builds a prior from training chroma.

  Args:
    chroma: batches of chroma [..., 2] in network units.

  Returns:
    [64, 64] float32 log-probabilities in nats. Each bin (i, j) contains 4 x 4
    pairs of grid values (a, b), and its entry is the log-probability of each
    single pair. The probabilities of all 256 x 256 pairs add up to 1.
  """
  counts = np.zeros((NUM_BINS, NUM_BINS))
  for batch in chroma:
    values = np.asarray(batch).reshape(-1, 2) * 127.5 + 127.5
    bins = np.clip(
      values.round().astype(int) // VALUES_PER_BIN, 0, NUM_BINS - 1
    )
    np.add.at(counts, tuple(bins.T), 1.0)
  steps = VALUES_PER_BIN * np.arange(NUM_BINS)
  blur = np.exp(-0.5 * np.square((steps[:, None] - steps) / SMOOTHING_SIGMA))
  blur /= blur.sum(0)
  bin_probs = blur @ (counts / counts.sum()) @ blur.T
  bin_probs = (1 - UNIFORM_SHARE) * bin_probs + UNIFORM_SHARE / NUM_BINS**2
  return np.log(bin_probs / VALUES_PER_BIN**2).astype(np.float32)


def log_prob(prior: jax.Array, chroma: jax.Array) -> jax.Array:
  """Looks up the log-probability of chroma.

  Args:
    prior: [64, 64], see `make`.
    chroma: [..., 2] in network units.

  Returns:
    [...] nats.
  """
  bins = jnp.round(127.5 * chroma + 127.5).astype(jnp.int32) // VALUES_PER_BIN
  bins = jnp.clip(bins, 0, NUM_BINS - 1)
  return prior[bins[..., 0], bins[..., 1]]


def to_text(prior: np.ndarray) -> str:
  """Encodes a prior, rounded to float16, as 11 kB of text for file metadata."""
  return base64.b64encode(prior.astype('<f2').tobytes()).decode('ascii')


def from_text(text: str) -> np.ndarray:
  """Decodes a prior [64, 64] float32 from text.

  Raises:
    ValueError: if `text` is not an encoded prior.
  """
  values = np.frombuffer(base64.b64decode(text, validate=True), '<f2')
  if values.size != NUM_BINS**2 or not np.isfinite(values).all():
    raise ValueError(f'A colour prior must hold {NUM_BINS}^2 finite numbers.')
  return values.reshape(NUM_BINS, NUM_BINS).astype(np.float32)
