"""Prior of colours: a smoothed histogram of training chroma.

Guidance should measure how well a colour fits the picture. The embedding's
likelihood prefers grey, because grey is common; divided by a power of the prior
it measures what the picture says about a colour, not how common the colour is.
"""

import base64
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

LEVELS_PER_BIN = 4
NUM_BINS = 256 // LEVELS_PER_BIN
# Standard deviation of the smoothing Gaussian, in levels.
SMOOTHING_SIGMA = 3.0
# Share of a uniform distribution in the mixture: no colour is impossible.
UNIFORM_SHARE = 0.04


def make(chroma: Iterable[np.ndarray]) -> np.ndarray:
  """Builds a prior from training chroma.

  Args:
    chroma: batches [..., 2] in network units.

  Returns:
    [64, 64] float32: log-probability of any one pair of levels (a, b) in each
      4 x 4 bin. The probabilities of all 256 x 256 pairs add up to 1.
  """
  counts = np.zeros((NUM_BINS, NUM_BINS))
  for batch in chroma:
    values = np.asarray(batch).reshape(-1, 2) * 127.5 + 127.5
    bins = np.clip(
      values.round().astype(int) // LEVELS_PER_BIN, 0, NUM_BINS - 1
    )
    np.add.at(counts, tuple(bins.T), 1.0)
  steps = LEVELS_PER_BIN * np.arange(NUM_BINS)
  blur = np.exp(-0.5 * np.square((steps[:, None] - steps) / SMOOTHING_SIGMA))
  blur /= blur.sum(0)
  shares = blur @ (counts / counts.sum()) @ blur.T
  shares = (1 - UNIFORM_SHARE) * shares + UNIFORM_SHARE / NUM_BINS**2
  return np.log(shares / LEVELS_PER_BIN**2).astype(np.float32)


def log_prob(prior: jax.Array, chroma: jax.Array) -> jax.Array:
  """Log-probability [...] of chroma [..., 2] in network units."""
  bins = jnp.round(127.5 * chroma + 127.5).astype(jnp.int32) // LEVELS_PER_BIN
  bins = jnp.clip(bins, 0, NUM_BINS - 1)
  return prior[bins[..., 0], bins[..., 1]]


def to_text(prior: np.ndarray) -> str:
  """Encodes a prior as text for the metadata of a file: 11 kB."""
  return base64.b64encode(prior.astype('<f2').tobytes()).decode('ascii')


def from_text(text: str) -> np.ndarray:
  """Decodes a prior from text.

  Raises:
    ValueError: `text` is not an encoded prior.
  """
  values = np.frombuffer(base64.b64decode(text, validate=True), '<f2')
  if values.size != NUM_BINS**2 or not np.isfinite(values).all():
    raise ValueError(f'A colour prior has {NUM_BINS}^2 finite numbers.')
  return values.reshape(NUM_BINS, NUM_BINS).astype(np.float32)
