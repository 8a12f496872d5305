"""Adjustments of a coloured photograph as a whole: saturation, white balance,
strength. Luminance stays as it is.
"""

import dataclasses

import numpy as np

# Gains of X and Z at 100: white moves by (a, b) = (5, 20) for warmth and by
# (15, 0) for tint.
WARMTH_X, WARMTH_Z, TINT_X = 0.01, -0.1, 0.03


@dataclasses.dataclass(frozen=True)
class Adjustments:
  """Adjustments in the order in which they are made.

  Attributes:
    saturation: factor of the chroma.
    warmth: -100 for bluish to 100 for yellowish light.
    tint: -100 for greenish to 100 for magenta light.
    strength: 0 for grey to 1 for all of the colour.
  """

  saturation: float = 1.0
  warmth: float = 0.0
  tint: float = 0.0
  strength: float = 1.0

  @property
  def is_neutral(self) -> bool:
    """Whether only saturation differs from the default."""
    return (self.warmth, self.tint, self.strength) == (0, 0, 1)

  def balance(self, lab: np.ndarray) -> np.ndarray:
    """White balance and strength, for chroma that is saturated already.

    White balance multiplies X and Z, as von Kries did, and not Y. With
    f(t) = t^(1/3) that is linear in a and b: f(gX) = g^(1/3) f(X), where
    f(X) = f(Y) + a / 500 and f(Z) = f(Y) - b / 200.

    Args:
      lab: [..., 3] float32, Lab units.

    Returns:
      [..., 3] float32.
    """
    if self.is_neutral:
      return lab
    x = 1 + (self.warmth * WARMTH_X + self.tint * TINT_X) / 100
    z = 1 + self.warmth * WARMTH_Z / 100
    gains = np.array([x, z], np.float32)
    shifts = np.array([500 * (x - 1), 200 * (1 - z)], np.float32)
    root = (lab[..., :1] + 16) / 116
    chroma = gains * lab[..., 1:] + shifts * root
    return np.concatenate(
      [lab[..., :1], np.float32(self.strength) * chroma], -1
    )


NEUTRAL = Adjustments()
