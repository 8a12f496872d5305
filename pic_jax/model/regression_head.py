"""Regression of the mean chroma: the baseline that gives desaturated colours.

The squared error of Iizuka et al. 2016, eq. (1), in (a, b); they add a loss of
classification of the scene, and use another network.
"""

from typing import Any

import jax
import jax.numpy as jnp

from pic_jax.images import color

log_prob = None  # it has no likelihood
# Lab units for an output of 1: about the deviation of chroma in photographs,
# so that the head starts within its range.
SCALE = 20.0


def num_outputs(model: Any) -> int:
  """Width P of theta: a and b."""
  del model
  return 2


def initial_theta(model: Any) -> tuple[float, ...]:
  """[P] mean of each output at the start of training."""
  del model
  return (0.0, 0.0)


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


def estimate(theta: jax.Array, luminance: jax.Array, model: Any) -> jax.Array:
  """Chroma [..., 2] of theta [..., 2], in network units, on the grid."""
  del luminance, model
  return color.chroma_to_network(color.round_chroma(SCALE * theta))
