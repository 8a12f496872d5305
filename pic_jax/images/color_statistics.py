"""Colourfulness and saturation of pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color

# A photograph is measured at MEASURED_SIDE**2 evenly spaced pixels, so that one
# compiled program serves photographs of all sizes.
MEASURED_SIDE = 256


def colourfulness(rgb: jax.Array) -> jax.Array:
  """Computes colourfulness M^(3) of Hasler & Suesstrunk 2003.

  It combines the standard deviation of the opponent colours with the length of
  their mean.

  Args:
    rgb: [B, H, W, 3] uint8.

  Returns:
    [B] float32: 0 for grey, about 109 for an extremely colourful picture.
  """
  red, green, blue = jnp.moveaxis(jnp.asarray(rgb, jnp.float32), -1, 0)
  opponents = jnp.stack([red - green, 0.5 * (red + green) - blue])
  spread = jnp.linalg.norm(opponents.std((2, 3)), axis=0)
  strength = jnp.linalg.norm(opponents.mean((2, 3)), axis=0)
  return spread + 0.3 * strength


def saturation(lab: jax.Array) -> jax.Array:
  """Computes the mean saturation, as in paper sec. 4.3.

  The saturation of a pixel is C / sqrt(C^2 + L^2), where C is the length of
  (a, b) (Luebbe 2010). For a black pixel it is defined as 0.

  Args:
    lab: [B, H, W, 3] in Lab units.

  Returns:
    [B] mean over the pixels, in percent.
  """
  chroma = jnp.linalg.norm(lab[..., 1:], axis=-1)
  length = jnp.hypot(chroma, lab[..., 0])
  return 100.0 * (chroma / jnp.maximum(length, 1e-6)).mean((1, 2))


def measure_photograph(rgb: np.ndarray) -> dict[str, float]:
  """Measures colourfulness and saturation at evenly spaced pixels.

  Args:
    rgb: [H, W, 1] or [H, W, 3] uint8.

  Returns:
    Dict with the keys 'colourfulness' and 'saturation' (in percent).
  """
  pixels = rgb.reshape(-1, rgb.shape[-1])
  chosen = np.linspace(0, len(pixels) - 1, MEASURED_SIDE**2).round().astype(int)
  square = np.broadcast_to(pixels[chosen], (MEASURED_SIDE**2, 3))
  square = square.reshape(1, MEASURED_SIDE, MEASURED_SIDE, 3)
  values = _measure(square)
  return {name: float(value[0]) for name, value in values.items()}


@jax.jit  # without it, each operation would be compiled separately
def _measure(rgb: jax.Array) -> dict[str, jax.Array]:
  return {
    'colourfulness': colourfulness(rgb),
    'saturation': saturation(color.rgb_to_lab(rgb)),
  }
