"""Regression of the mean chroma, a baseline that gives desaturated colours.

The loss is the squared error of Iizuka et al. 2016, eq. (1), in (a, b). Their
network is a different one, and it is also trained to classify the scene.
"""

import jax
import jax.numpy as jnp

from pic_jax.images import color
from pic_jax.model import heads

# Lab units that an output of 1 stands for. This is about the standard deviation
# of chroma in photographs, so typical outputs are about +-1.
SCALE = 20.0


def loss(
  theta: jax.Array, chroma: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
  """Computes the squared error.

  Args:
    theta: [..., 2] outputs, in units of `SCALE`.
    chroma: [..., 2] in network units, on the integer grid.
    weights: ignored; an argument of every head's loss.

  Returns:
    [...] squared distance in (a, b), in units of `SCALE` squared.
  """
  del weights
  chroma = color.round_chroma(color.chroma_from_network(chroma))
  return jnp.square(theta - chroma / SCALE).sum(-1)


def estimate(theta: jax.Array, luminance: jax.Array) -> jax.Array:
  """Converts theta to chroma [..., 2] in network units, on the integer grid."""
  del luminance
  return color.chroma_to_network(color.round_chroma(SCALE * theta))


def build_head(num_components: int) -> heads.Head:
  """Builds the head whose theta is a and b, in units of `SCALE`."""
  del num_components
  return heads.Head((0.0, 0.0), estimate, loss=loss)
