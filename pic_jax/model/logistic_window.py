"""The mass that a logistic gives to one level (Salimans et al. 2017, eq. 2)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

# Levels are 1 / 127.5 apart in network units. Probabilities are computed in
# units of one level: network units times 127.5.
LEVELS_PER_UNIT = 127.5
# For windows with less mass, the density at the centre replaces the mass (as in
# the authors' code).
LEAST_MASS_PAPER = 1e-5
# Type of `log_window` and `log_window_paper`.
WindowFn = Callable[..., jax.Array]


def _log_one_minus_exp_neg_exp(u: jax.Array) -> jax.Array:
  """log(1 - exp(-exp(u))) for any u.

  For small exp(u) this is u - exp(u) / 2 + O(exp(2 u)); the plain formula would
  give log(0) once exp(u) underflows, and a NaN gradient with it.
  """
  small = u < -8.0
  width = jnp.exp(jnp.where(small, -8.0, u))
  return jnp.where(
    small, u - 0.5 * jnp.exp(jnp.minimum(u, -8.0)), jnp.log(-jnp.expm1(-width))
  )


def log_window(
  centred: jax.Array,
  log_scales: jax.Array,
  *,
  is_lowest: jax.Array,
  is_highest: jax.Array,
) -> jax.Array:
  """Log-mass of a logistic in a window of one level; edges take the tails.

  Let p > m be the ends of the window, centred and divided by the scale. Then
  sigmoid(p) - sigmoid(m) = sigmoid(p) sigmoid(-m) (1 - exp(m - p)): no
  difference of nearly equal numbers, hence no underflow, however far out it is.

  Args:
    centred: distance from the mean to the centre of the window, in levels.
    log_scales: in network units.
    is_lowest, is_highest: whether the window extends to minus/plus infinity.
  """
  log_scales = log_scales + np.log(LEVELS_PER_UNIT).astype(np.float32)
  inv_scales = jnp.exp(-log_scales)
  log_below = jax.nn.log_sigmoid((centred + 0.5) * inv_scales)
  log_above = jax.nn.log_sigmoid(-(centred - 0.5) * inv_scales)
  inside = _log_one_minus_exp_neg_exp(-log_scales)
  return (
    jnp.where(is_highest, 0.0, log_below)
    + jnp.where(is_lowest, 0.0, log_above)
    + jnp.where(is_lowest | is_highest, 0.0, inside)
  )


def log_window_paper(
  centred: jax.Array,
  log_scales: jax.Array,
  *,
  is_lowest: jax.Array,
  is_highest: jax.Array,
) -> jax.Array:
  """`log_window` as in the authors' code: tiny masses become densities."""
  log_mass = log_window(
    centred, log_scales, is_lowest=is_lowest, is_highest=is_highest
  )
  z = centred * (jnp.exp(-log_scales) * (1.0 / LEVELS_PER_UNIT))
  log_density = jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)
  log_density -= log_scales + np.log(LEVELS_PER_UNIT).astype(np.float32)
  is_rare = log_mass < np.log(LEAST_MASS_PAPER).astype(np.float32)
  return jnp.where(is_rare & ~is_lowest & ~is_highest, log_density, log_mass)
