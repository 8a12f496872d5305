"""Adjustments of the colours of a whole photograph.

They are saturation, white balance and strength. Luminance does not change.
"""

import dataclasses

import numpy as np

# White balance multiplies cbrt(X) and cbrt(Z) by gains, which are 1 by default.
# These are the amounts that a warmth or a tint of 100 adds to the gains. White
# becomes (a, b) = (5, 20) if warmth is 100, and (15, 0) if tint is 100.
WARMTH_X, WARMTH_Z, TINT_X = 0.01, -0.1, 0.03


@dataclasses.dataclass(frozen=True)
class Adjustments:
  """Adjustments, in the order in which they are applied.

  Attributes:
    saturation: factor by which the chroma is multiplied.
    warmth: colour of the light, from bluish (-100) to yellowish (100).
    tint: colour of the light, from greenish (-100) to magenta (100).
    strength: factor by which the balanced chroma is multiplied, from 0 (grey)
      to 1.
  """

  saturation: float = 1.0
  warmth: float = 0.0
  tint: float = 0.0
  strength: float = 1.0

  def balance(self, lab: np.ndarray) -> np.ndarray:
    """Applies white balance and strength.

    White balance multiplies X and Z, but not Y, by gains (von Kries). If f is
    the cube root, a gain g of X multiplies f(X) by f(g). Since
    f(X) = f(Y) + a / 500 and f(Z) = f(Y) - b / 200, the new a and b are linear
    functions of the old ones.

    Args:
      lab: [..., 3] float32 in Lab units, already multiplied by `saturation`.

    Returns:
      [..., 3] float32 in Lab units.
    """
    if (self.warmth, self.tint, self.strength) == (0, 0, 1):
      return lab
    # Gains of f(X) and f(Z).
    gain_x = 1 + (self.warmth * WARMTH_X + self.tint * TINT_X) / 100
    gain_z = 1 + self.warmth * WARMTH_Z / 100
    gains = np.array([gain_x, gain_z], np.float32)
    shifts = np.array([500 * (gain_x - 1), 200 * (1 - gain_z)], np.float32)
    root_of_y = (lab[..., :1] + 16) / 116
    chroma = gains * lab[..., 1:] + shifts * root_of_y
    return np.concatenate(
      [lab[..., :1], np.float32(self.strength) * chroma], -1
    )


NEUTRAL = Adjustments()
