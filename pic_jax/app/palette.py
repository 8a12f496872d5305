"""Colours that are likely at a spot of a photograph, for a user to choose.

By the embedding's own mixture for the cell (paper sec. 4.3), which knows what
is given, and by the samples that were drawn.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import any_shape
from pic_jax.model import logistic_mixture

MAX_COLOURS = 8
MIN_SHARE = 0.01
RADIUS = 16.0  # Lab units: what is nearer counts as one colour
# Only (a, b) of a colour count, and near black or white nobody sees them.
DARKEST, LIGHTEST = 40.0, 80.0
LEVELS_PER_BIN = 4
NUM_BINS = 256 // LEVELS_PER_BIN
# [256, 256, 2] all values of (a, b) in network units; [64, 64, 2] middles of
# the bins in Lab units.
VALUES = (np.mgrid[:256, :256] - 127.5).transpose(1, 2, 0) / 127.5
MIDDLES = LEVELS_PER_BIN * np.mgrid[:NUM_BINS, :NUM_BINS].transpose(1, 2, 0) + [
  -125.5,
  -126.5,
]


@dataclasses.dataclass(frozen=True)
class Colour:
  """One of those that are offered.

  Attributes:
    rgb: sRGB, 0..255.
    share: probability of this and of colours like it.
  """

  rgb: tuple[int, int, int]
  share: float


@jax.jit
def bins_of(theta: jax.Array, luminance: jax.Array) -> jax.Array:
  """Probabilities [64, 64] of (a, b), by a mixture [P] at luminance [1]."""
  values = jnp.asarray(VALUES, jnp.float32)
  theta = jnp.broadcast_to(theta, (*values.shape[:2], len(theta)))
  luminance = jnp.broadcast_to(luminance, (*values.shape[:2], 1))
  mass = jnp.exp(logistic_mixture.log_prob(theta, luminance, values))
  shape = (NUM_BINS, LEVELS_PER_BIN, NUM_BINS, LEVELS_PER_BIN)
  return mass.reshape(shape).sum((1, 3))


def bins_of_samples(chroma: np.ndarray) -> np.ndarray:
  """Shares [64, 64] of samples [N, 2], Lab units."""
  bins = ((chroma - MIDDLES[0, 0]) / LEVELS_PER_BIN).round().astype(int)
  shares = np.zeros((NUM_BINS, NUM_BINS))
  np.add.at(shares, tuple(np.clip(bins, 0, NUM_BINS - 1).T), 1 / len(chroma))
  return shares


def colours(shares: np.ndarray, lightness: float) -> list[Colour]:
  """Picks the likeliest colours that are not like one another.

  Args:
    shares: [64, 64] probabilities of (a, b).
    lightness: L of the spot, 0..100.

  Returns:
    At most `MAX_COLOURS`, the likeliest first.
  """
  steps = LEVELS_PER_BIN * np.arange(NUM_BINS)
  blur = np.exp(-np.square((steps[:, None] - steps) / (RADIUS / 2)) / 2)
  blur /= blur.sum(0)
  rest = blur @ shares @ blur.T
  found = []
  while len(found) < MAX_COLOURS:
    peak = MIDDLES[np.unravel_index(rest.argmax(), rest.shape)]
    near = rest * (np.linalg.norm(MIDDLES - peak, axis=-1) <= RADIUS)
    share = near.sum()
    if share < MIN_SHARE:
      break
    found.append((share, (near[..., None] * MIDDLES).sum((0, 1)) / share))
    rest = rest - near
  found.sort(key=lambda one: -one[0])
  light = np.clip(lightness, DARKEST, LIGHTEST)
  lab = np.array([[light, *chroma] for _, chroma in found], np.float32)
  rgb, _ = any_shape.lab_to_rgb(lab)
  return [
    Colour(tuple(one.tolist()), float(share))
    for one, (share, _) in zip(rgb, found, strict=True)
  ]
