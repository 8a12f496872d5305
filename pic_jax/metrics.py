"""What is reported of a likelihood (paper sec. 4.1)."""

import jax
import numpy as np


def bits_per_image(log_prob: jax.Array) -> jax.Array:
  """[B] bits for all chroma values of an image; log_prob [B, h, w] in nats."""
  return -log_prob.sum((1, 2)) / np.log(2.0)


def bits_per_dim(log_prob: jax.Array) -> jax.Array:
  """[B] bits per chroma value: nats / (ln 2 * h * w * 2)."""
  _, height, width = log_prob.shape
  return bits_per_image(log_prob) / (height * width * 2)
