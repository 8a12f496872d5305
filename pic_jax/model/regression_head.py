"""Regression of the mean chroma: the baseline that gives desaturated colours.

The squared error of Iizuka et al. 2016, eq. (1), in (a, b); they add a loss of
classification of the scene, and use another network.
"""

import jax
import jax.numpy as jnp

NUM_OUTPUTS = 2
# Lab units for an output of 1: about the deviation of chroma in photographs,
# so that the head starts within its range.
SCALE = 20.0


def loss(theta: jax.Array, chroma: jax.Array) -> jax.Array:
  """Squared error of every pixel, in units of `SCALE`.

  Args:
    theta: [..., 2].
    chroma: [..., 2] in Lab units.

  Returns:
    [...].
  """
  return jnp.square(theta - chroma / SCALE).sum(-1)


def estimate(theta: jax.Array) -> jax.Array:
  """Chroma [..., 2] in Lab units, not rounded, of theta [..., 2]."""
  return SCALE * theta
