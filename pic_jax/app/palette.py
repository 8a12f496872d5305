"""Colours that the page offers for a spot of a photograph.

The likely colours have two sources: the mixture that the embedding predicts for
the spot's cell, given the pins (paper sec. 4.3), and the samples drawn so far.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import any_shape
from pic_jax.model import logistic_mixture

# Largest number of likely colours.
MAX_COLOURS = 3
# Smallest probability at which a second or third likely colour is offered.
MIN_PROBABILITY = 0.05
# Distance in (a, b) up to which colours count as similar, Lab units.
SIMILARITY_RADIUS = 16.0
# Number of vivid colours.
NUM_HUES = 12
# Angle in the (a, b) plane of the first vivid colour, a red, in degrees.
FIRST_HUE = 40.0
# Candidates for the L of the colour that a pin stores. At smaller or larger L,
# sRGB has few saturated colours.
PIN_LUMINANCES = np.arange(30.0, 91.0, 5.0, dtype=np.float32)
# Each bin of (a, b) has 4 x 4 integer values.
VALUES_PER_BIN = 4
NUM_BINS = 256 // VALUES_PER_BIN
# All integer values of (a, b), in network units, [256, 256, 2].
VALUES = (np.mgrid[:256, :256] - 127.5).transpose(1, 2, 0) / 127.5
# Centres of the bins, in Lab units, [64, 64, 2]. The values of a begin at -127,
# and those of b at -128.
CENTRES = VALUES_PER_BIN * np.mgrid[:NUM_BINS, :NUM_BINS].transpose(1, 2, 0) + [
  -125.5,
  -126.5,
]


@dataclasses.dataclass(frozen=True)
class Swatch:
  """A colour that is offered for a spot.

  Attributes:
    rgb: appearance of the colour at the spot, sRGB 0..255. It has the spot's
      luminance, and its chroma is reduced to fit into the sRGB gamut.
    pin_rgb: colour that a pin stores, sRGB 0..255. It has the same hue. Its L
      is the one of `PIN_LUMINANCES` at which the gamut reduces its chroma
      least. A pin with this colour gives the spot the colour `rgb`. In lighter
      or darker cells the chroma is reduced to what fits into the gamut.
  """

  rgb: tuple[int, int, int]
  pin_rgb: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class LikelySwatch(Swatch):
  """A likely colour of a spot.

  Attributes:
    share: probability of this colour and of similar colours.
  """

  share: float


def _swatches(chroma: np.ndarray, luminance: float) -> list[Swatch]:
  """Returns swatches of chroma values.

  Args:
    chroma: [N, 2] (a, b) in Lab units.
    luminance: L of the spot, 0..100.
  """
  if not len(chroma):
    return []
  lab_at_spot = np.insert(chroma, 0, luminance, -1).astype(np.float32)
  rgb, _ = any_shape.lab_to_rgb(any_shape.within_gamut(lab_at_spot))
  candidates = np.stack(
    [np.insert(chroma, 0, value, -1) for value in PIN_LUMINANCES], 1
  ).astype(np.float32)  # [N, 13, 3]
  candidates = any_shape.within_gamut(candidates)
  chroma_norm = np.linalg.norm(candidates[..., 1:], axis=-1)
  distance = np.abs(PIN_LUMINANCES - luminance)
  # Selects the L that allows the most chroma. If several do, selects the one
  # nearest to the L of the spot.
  best = (1000.0 * chroma_norm.round(1) - distance).argmax(1)
  pins, _ = any_shape.lab_to_rgb(candidates[np.arange(len(best)), best])
  return [
    Swatch(tuple(at_spot.tolist()), tuple(pin.tolist()))
    for at_spot, pin in zip(rgb, pins, strict=True)
  ]


def vivid(luminance: float) -> list[Swatch]:
  """Returns swatches of `NUM_HUES` hues, as vivid as sRGB allows.

  Args:
    luminance: L of the spot, 0..100.
  """
  hues = np.deg2rad(FIRST_HUE + np.arange(NUM_HUES) * 360.0 / NUM_HUES)
  return _swatches(
    128.0 * np.stack([np.cos(hues), np.sin(hues)], -1), luminance
  )


def swatch_of_version(chroma: np.ndarray, luminance: float) -> Swatch:
  """Returns the colour of a version at the spot (button "As it is here").

  Args:
    chroma: [2] (a, b) of the version in the spot's cell, Lab units.
    luminance: L of the spot, 0..100.
  """
  (swatch,) = _swatches(np.asarray(chroma)[None], luminance)
  return swatch


@jax.jit
def bin_shares(theta: jax.Array, luminance: jax.Array) -> jax.Array:
  """Sums the probabilities of a mixture over each bin of (a, b).

  Args:
    theta: [P] parameters of the mixture.
    luminance: [1] in network units.

  Returns:
    Probabilities of the bins, [64, 64].
  """
  values = jnp.asarray(VALUES, jnp.float32)
  theta = jnp.broadcast_to(theta, (*values.shape[:2], len(theta)))
  luminance = jnp.broadcast_to(luminance, (*values.shape[:2], 1))
  mass = jnp.exp(logistic_mixture.log_prob(theta, luminance, values))
  shape = (NUM_BINS, VALUES_PER_BIN, NUM_BINS, VALUES_PER_BIN)
  return mass.reshape(shape).sum((1, 3))


def bin_shares_of_samples(chroma: np.ndarray) -> np.ndarray:
  """Computes the fraction of samples in each bin of (a, b).

  Args:
    chroma: [N, 2] (a, b) of samples, Lab units.

  Returns:
    Fractions of the samples in the bins, [64, 64].
  """
  bins = ((chroma - CENTRES[0, 0]) / VALUES_PER_BIN).round().astype(int)
  shares = np.zeros((NUM_BINS, NUM_BINS))
  np.add.at(shares, tuple(np.clip(bins, 0, NUM_BINS - 1).T), 1 / len(chroma))
  return shares


def colours(
  shares: np.ndarray, luminance: float, *, saturation: float = 1.0
) -> list[LikelySwatch]:
  """Finds the likeliest colours that are not similar to one another.

  Args:
    shares: [64, 64] probabilities of the bins of (a, b).
    luminance: L of the spot, 0..100.
    saturation: factor by which (a, b) are multiplied before display.

  Returns:
    At most `MAX_COLOURS` colours, the likeliest first.
  """
  # Smooths the shares with a Gaussian, so nearby bins form one peak.
  steps = VALUES_PER_BIN * np.arange(NUM_BINS)
  differences = (steps[:, None] - steps) / (SIMILARITY_RADIUS / 2)
  blur = np.exp(-np.square(differences) / 2)
  blur /= blur.sum(0)
  remaining = blur @ shares @ blur.T
  # Each group of similar colours: its probability and its mean chroma.
  groups = []
  while len(groups) < MAX_COLOURS:
    peak = CENTRES[np.unravel_index(remaining.argmax(), remaining.shape)]
    distance = np.linalg.norm(CENTRES - peak, axis=-1)
    near_peak = remaining * (distance <= SIMILARITY_RADIUS)
    share = near_peak.sum()
    if groups and share < MIN_PROBABILITY:
      break
    groups.append((share, (near_peak[..., None] * CENTRES).sum((0, 1)) / share))
    remaining = remaining - near_peak
  groups.sort(key=lambda share_and_chroma: -share_and_chroma[0])
  swatches = _swatches(
    saturation * np.array([chroma for _, chroma in groups]).reshape(-1, 2),
    luminance,
  )
  return [
    LikelySwatch(swatch.rgb, swatch.pin_rgb, float(share))
    for swatch, (share, _) in zip(swatches, groups, strict=True)
  ]
