"""Probability that a logistic gives to one grid value.

See Salimans et al. 2017, eq. (2). Each grid value has a window, one step wide,
over which the density is integrated.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

# The grid values of chroma are one step = 1 / 127.5 apart in network units.
# Windows are computed in steps, which are network units times 127.5.
STEPS_PER_UNIT = 127.5
# In windows with less mass than this, the density at the centre replaces the
# mass, as in the authors' code.
LEAST_MASS_PAPER = 1e-5
# Type of `log_window` and `log_window_paper`.
WindowFn = Callable[..., jax.Array]


def _log_one_minus_exp_neg_exp(u: jax.Array) -> jax.Array:
  """Computes log(1 - exp(-exp(u))) for any u.

  Where exp(u) is small, the series u - exp(u) / 2 + O(exp(2 u)) replaces the
  formula. The formula would give log(0) and a NaN gradient once exp(u)
  underflows.
  """
  small = u < -8.0
  exp_u = jnp.exp(jnp.where(small, -8.0, u))
  return jnp.where(
    small, u - 0.5 * jnp.exp(jnp.minimum(u, -8.0)), jnp.log(-jnp.expm1(-exp_u))
  )


def log_window(
  centred: jax.Array,
  log_scales: jax.Array,
  *,
  is_lowest: jax.Array,
  is_highest: jax.Array,
) -> jax.Array:
  """Computes the log-mass of logistics in windows that are one step wide.

  Let p > m be the ends of a window, minus the mean and divided by the scale.
  Then sigmoid(p) - sigmoid(m) = sigmoid(p) sigmoid(-m) (1 - exp(m - p)). The
  logarithms of the three factors are accurate even in windows far from the
  mean, where the difference on the left can be 0 in float32.

  Args:
    centred: [...] centres of the windows minus the means, in steps.
    log_scales: [...] log-scales of the logistics, in network units.
    is_lowest: [...] whether the window extends to minus infinity, as the window
      of the lowest grid value does.
    is_highest: [...] whether the window extends to plus infinity.

  Returns:
    [...] log-masses, in nats.
  """
  log_scales_in_steps = log_scales + np.log(STEPS_PER_UNIT).astype(np.float32)
  inv_scales = jnp.exp(-log_scales_in_steps)
  # Log-masses below the upper end and above the lower end of each window.
  log_below = jax.nn.log_sigmoid((centred + 0.5) * inv_scales)
  log_above = jax.nn.log_sigmoid(-(centred - 0.5) * inv_scales)
  # log(1 - exp(m - p)), where p - m is `inv_scales`, because a window is one
  # step wide.
  log_factor = _log_one_minus_exp_neg_exp(-log_scales_in_steps)
  return (
    jnp.where(is_highest, 0.0, log_below)
    + jnp.where(is_lowest, 0.0, log_above)
    + jnp.where(is_lowest | is_highest, 0.0, log_factor)
  )


def log_window_paper(
  centred: jax.Array,
  log_scales: jax.Array,
  *,
  is_lowest: jax.Array,
  is_highest: jax.Array,
) -> jax.Array:
  """Computes `log_window` as the authors' code does.

  A mass below `LEAST_MASS_PAPER` is replaced by the density at the centre,
  except in the windows that extend to infinity.
  """
  log_mass = log_window(
    centred, log_scales, is_lowest=is_lowest, is_highest=is_highest
  )
  z = centred * (jnp.exp(-log_scales) * (1.0 / STEPS_PER_UNIT))
  log_density = jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)
  log_density -= log_scales + np.log(STEPS_PER_UNIT).astype(np.float32)
  is_rare = log_mass < np.log(LEAST_MASS_PAPER).astype(np.float32)
  return jnp.where(is_rare & ~is_lowest & ~is_highest, log_density, log_mass)
