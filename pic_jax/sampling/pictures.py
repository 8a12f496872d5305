"""Conversion of luminance and chroma to RGB pictures."""

import jax
import jax.numpy as jnp

from pic_jax.images import color
from pic_jax.model import pic


def to_rgb(
  model: pic.PIC, luminance: jax.Array, chroma: jax.Array
) -> jax.Array:
  """Renders luminance with sampled chroma as RGB pictures.

  Args:
    model: network whose `chroma_filter` determines how chroma is upsampled.
    luminance: [B, H, W, 1] in network units.
    chroma: [B, S, h, w, 2] in network units.

  Returns:
    [B, S, H, W, 3] uint8.
  """
  ab = color.chroma_from_network(chroma.reshape(-1, *chroma.shape[2:]))
  factor = luminance.shape[1] // chroma.shape[2]
  ab = color.upsample(ab, factor, model.chroma_filter)
  ab = ab.reshape(*chroma.shape[:2], *luminance.shape[1:3], 2)
  grey = color.luminance_from_network(luminance)[:, None]
  grey = jnp.broadcast_to(grey, (*ab.shape[:-1], 1))
  return color.lab_to_rgb(jnp.concatenate([grey, ab], -1))


def grey_picture(model: pic.PIC, lab: pic.LabBatch) -> jax.Array:
  """Renders the luminance of a batch as grey pictures [B, H, W, 3] uint8."""
  # 0 in network units is (0.5, -0.5) in Lab units, so R, G and B differ by up
  # to 2.
  almost_grey = jnp.zeros_like(lab.chroma[:, None])
  return to_rgb(model, lab.luminance, almost_grey)[:, 0]
