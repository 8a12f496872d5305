"""Regression of the mean chroma: the baseline that gives desaturated colours.

The squared error of Iizuka et al. 2016, eq. (1), in (a, b); they add a loss of
classification of the scene, and use another network.
"""

import jax
import jax.numpy as jnp

from pic_jax.images import color
from pic_jax.model import heads

# Lab units for an output of 1: about the deviation of chroma in photographs,
# so that the head starts within its range.
SCALE = 20.0


def loss(
  theta: jax.Array, chroma: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
  """Squared error [...] of theta [..., 2], in units of `SCALE`.

  Args:
    theta: [..., 2].
    chroma: [..., 2] in network units, on the integer grid.
    weights: none here.
  """
  del weights
  chroma = color.round_chroma(color.chroma_from_network(chroma))
  return jnp.square(theta - chroma / SCALE).sum(-1)


def estimate(theta: jax.Array, luminance: jax.Array) -> jax.Array:
  """Returns chroma [..., 2] in network units, on the grid."""
  del luminance
  return color.chroma_to_network(color.round_chroma(SCALE * theta))


def build_head(num_components: int) -> heads.Head:
  """The head whose theta is a and b."""
  del num_components
  return heads.Head((0.0, 0.0), estimate, loss=loss)
