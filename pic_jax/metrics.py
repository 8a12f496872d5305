"""What is reported of likelihoods and of pictures (paper sec. 4)."""

import jax
import jax.numpy as jnp
import numpy as np


def bits_per_image(log_prob: jax.Array) -> jax.Array:
  """[B] bits for all chroma values of an image; log_prob [B, h, w] in nats."""
  return -log_prob.sum((1, 2)) / np.log(2.0)


def bits_per_dim(log_prob: jax.Array) -> jax.Array:
  """[B] bits per chroma value: nats / (ln 2 * h * w * 2)."""
  _, height, width = log_prob.shape
  return bits_per_image(log_prob) / (height * width * 2)


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


def pairwise_differences(chroma: jax.Array) -> jax.Array:
  """Mean distance in (a, b) between every two samples of an image.

  Args:
    chroma: [S, h, w, 2] in Lab units.

  Returns:
    [S, S], Lab units.
  """
  # One row at a time: all differences at once need S times the memory.
  return jax.lax.map(
    lambda x: jnp.linalg.norm(x[None] - chroma, axis=-1).mean((1, 2)), chroma
  )
