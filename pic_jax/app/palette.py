"""Colours that are likely at a spot of a photograph, for a user to choose.

They come from the embedding's own mixture for the cell (paper sec. 4.3), which
reads the pins, and from the samples that were drawn.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import any_shape
from pic_jax.model import logistic_mixture

MAX_COLOURS = 3
MIN_SHARE = 0.05  # of all but the likeliest
RADIUS = 16.0  # Lab units: what is nearer counts as one colour
NUM_HUES = 12
FIRST_HUE = 40.0  # degrees in (a, b): red
# Where a pin's own colour is looked for: lighter or darker, sRGB has few.
PIN_LUMINANCES = np.arange(30.0, 91.0, 5.0, np.float32)
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
class Swatch:
  """A colour that is offered for a spot.

  Attributes:
    rgb: sRGB 0..255, what it looks like there: at the spot's own luminance and
      in gamut.
    pin: sRGB 0..255 of the same hue, where sRGB has all of its chroma. Stored
      in a pin it gives the spot `rgb`, and lighter or darker cells of a brush
      no less than they can have.
  """

  rgb: tuple[int, int, int]
  pin: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Colour(Swatch):
  """A probable colour.

  Attributes:
    share: probability of this colour and of similar ones.
  """

  share: float


def _swatches(chroma: np.ndarray, luminance: float) -> list[Swatch]:
  """Converts (a, b) [N, 2] in Lab units at an L of 0..100."""
  if not len(chroma):
    return []
  there = np.insert(chroma, 0, luminance, -1).astype(np.float32)
  rgb, _ = any_shape.lab_to_rgb(any_shape.within_gamut(there))
  # [N, 13, 3]: the luminance nearest to the spot's that has the whole chroma.
  several = np.stack(
    [np.insert(chroma, 0, level, -1) for level in PIN_LUMINANCES], 1
  ).astype(np.float32)
  several = any_shape.within_gamut(several)
  saturation = np.linalg.norm(several[..., 1:], axis=-1)
  distance = np.abs(PIN_LUMINANCES - luminance)
  best = (1000.0 * saturation.round(1) - distance).argmax(1)
  pins, _ = any_shape.lab_to_rgb(several[np.arange(len(best)), best])
  return [
    Swatch(tuple(a.tolist()), tuple(b.tolist()))
    for a, b in zip(rgb, pins, strict=True)
  ]


def vivid(luminance: float) -> list[Swatch]:
  """Twelve hues, as vivid as sRGB has them at an L of 0..100."""
  hues = np.deg2rad(FIRST_HUE + np.arange(NUM_HUES) * 360.0 / NUM_HUES)
  return _swatches(
    128.0 * np.stack([np.cos(hues), np.sin(hues)], -1), luminance
  )


def here(chroma: np.ndarray, luminance: float) -> Swatch:
  """The colour of a version at a spot, for a pin "as it is here".

  Args:
    chroma: [2] (a, b) of the version's cell, Lab units.
    luminance: L of the cell, 0..100.
  """
  (swatch,) = _swatches(np.asarray(chroma)[None], luminance)
  return swatch


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


def colours(
  shares: np.ndarray, luminance: float, *, saturation: float = 1.0
) -> list[Colour]:
  """Picks the likeliest colours that are not like one another.

  Args:
    shares: [64, 64] probabilities of (a, b).
    luminance: L of the spot, 0..100.
    saturation: factor of (a, b) with which they are shown.

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
    if found and share < MIN_SHARE:
      break
    found.append((share, (near[..., None] * MIDDLES).sum((0, 1)) / share))
    rest = rest - near
  found.sort(key=lambda one: -one[0])
  swatches = _swatches(
    saturation * np.array([chroma for _, chroma in found]).reshape(-1, 2),
    luminance,
  )
  return [
    Colour(one.rgb, one.pin, float(share))
    for one, (share, _) in zip(swatches, found, strict=True)
  ]
