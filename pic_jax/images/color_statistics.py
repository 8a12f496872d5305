"""Colourfulness and saturation of pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color

# Side of the square of evenly spaced pixels by which a photograph is measured:
# one array size for all, so that nothing compiles per photograph.
MEASURED_SIDE = 256


def colourfulness(rgb: jax.Array) -> jax.Array:
  """Spread and strength of opponent colours (Hasler & Suesstrunk 2003, M^(3)).

  Args:
    rgb: [B, H, W, 3] uint8.

  Returns:
    [B]: 0 for grey, about 109 for an extremely colourful picture.
  """
  red, green, blue = jnp.moveaxis(jnp.asarray(rgb, jnp.float32), -1, 0)
  opponents = jnp.stack([red - green, 0.5 * (red + green) - blue])
  spread = jnp.linalg.norm(opponents.std((2, 3)), axis=0)
  strength = jnp.linalg.norm(opponents.mean((2, 3)), axis=0)
  return spread + 0.3 * strength


def saturation(lab: jax.Array) -> jax.Array:
  """Perceptual saturation C / sqrt(C^2 + L^2), as in paper sec. 4.3.

  Luebbe 2010; C is the length of (a, b).

  Args:
    lab: [B, H, W, 3] in Lab units.

  Returns:
    [B] mean over the pixels, in percent; black counts as 0.
  """
  chroma = jnp.linalg.norm(lab[..., 1:], axis=-1)
  whole = jnp.hypot(chroma, lab[..., 0])
  return 100.0 * (chroma / jnp.maximum(whole, 1e-6)).mean((1, 2))


def measure_photograph(rgb: np.ndarray) -> dict[str, float]:
  """Colourfulness and saturation of [H, W, C] uint8, from a grid of pixels."""
  pixels = rgb.reshape(-1, rgb.shape[-1])
  chosen = np.linspace(0, len(pixels) - 1, MEASURED_SIDE**2).round().astype(int)
  square = np.broadcast_to(pixels[chosen], (MEASURED_SIDE**2, 3))
  square = square.reshape(1, MEASURED_SIDE, MEASURED_SIDE, 3)
  values = _measure(square)
  return {name: float(value[0]) for name, value in values.items()}


@jax.jit  # one program: each operation alone would be compiled by itself
def _measure(rgb: jax.Array) -> dict[str, jax.Array]:
  return {
    'colourfulness': colourfulness(rgb),
    'saturation': saturation(color.rgb_to_lab(rgb)),
  }
