"""Finer levels of the chroma: p(fine | coarse, L), exact on integers.

A coarse value is the rounded mean of a 2 x 2 cell of fine ones, channel by
channel: m = floor((x0 + x1 + x2 + x3 + 2) / 4), with the four values in raster
order. The mean and the offset q = x0 + x1 + x2 + x3 + 2 - 4 m, one of 0..3,
determine the sum, so that (m, q, x0, x1, x2) and (x0, x1, x2, x3) determine
each other: p(fine | L) = p(coarse | L) p(fine | coarse, L) exactly.
q is drawn first, from a categorical distribution; then x0, x1 and x2, from
mixtures of discretised logistics. These determine x3, which costs no bits. Each
logistic is censored to the values that let the others still reach the sum; the
two end values take its tails, as those of the range do in `logistic_mixture`.

In cells that hold a hint the sum is not constrained: their coarse value is the
rounded mean of the hints, and all other values, including x3, are free.

The maps are in this file, the likelihood in `level_likelihood`, drawing in
`level_sampling`. Values are integers 0..R - 1 in float32 (level k of
`logistic_mixture` is k in units of one level), [..., 4, 2] for a cell; R is 256
except in tests.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from pic_jax.model import hints as hint_maps
from pic_jax.model import logistic_mixture

NUM_VALUES = 256


def from_network(chroma: jax.Array) -> jax.Array:
  """Converts chroma, in network units on the grid, to integers 0..255."""
  return (
    logistic_mixture.nearest_grid_values(chroma) + logistic_mixture.HALF_RANGE
  )


def to_network(values: jax.Array) -> jax.Array:
  """Converts integers 0..255 to chroma in network units."""
  return (values - logistic_mixture.HALF_RANGE) * (
    1.0 / logistic_mixture.STEPS_PER_UNIT
  )


def to_cells(fine: jax.Array) -> jax.Array:
  """Gathers 2 x 2 cells: [..., 2 h, 2 w, C] -> [..., h, w, 4, C]."""
  *lead, height, width, channels = fine.shape
  cells = fine.reshape(*lead, height // 2, 2, width // 2, 2, channels)
  cells = jnp.moveaxis(cells, -3, -4)  # [..., h, w, 2, 2, C]
  return cells.reshape(*lead, height // 2, width // 2, 4, channels)


def from_cells(cells: jax.Array) -> jax.Array:
  """Puts cells back: [..., h, w, 4, C] -> [..., 2 h, 2 w, C]."""
  *lead, height, width, _, channels = cells.shape
  fine = cells.reshape(*lead, height, width, 2, 2, channels)
  fine = jnp.moveaxis(fine, -4, -3)  # [..., h, 2, w, 2, C]
  return fine.reshape(*lead, 2 * height, 2 * width, channels)


def rounded_mean(cells: jax.Array) -> jax.Array:
  """Coarse values [..., 2] of cells [..., 4, 2]; halves are rounded up."""
  return jnp.floor((cells.sum(-2) + 2.0) * 0.25)


def coarsen(chroma: jax.Array) -> jax.Array:
  """Chroma [B, 2 h, 2 w, 2] of a level -> [B, h, w, 2] of the one below.

  Both in network units, on the integer grid.
  """
  return to_network(rounded_mean(to_cells(from_network(chroma))))


def coarsen_hints(hints: jax.Array) -> jax.Array:
  """Hints [B, 2 h, 2 w, 3] of a level -> [B, h, w, 3] of the one below.

  A coarse cell is known if any of its fine cells is: as their rounded mean.
  """
  cells = to_cells(hints)
  known = cells[..., 2]
  count = known.sum(-1)
  values = (from_network(cells[..., :2]) * known[..., None]).sum(-2)
  mean = jnp.floor(values / jnp.maximum(count, 1.0)[..., None] + 0.5)
  is_known = (count > 0).astype(jnp.float32)[..., None]
  return jnp.concatenate([is_known * to_network(mean), is_known], -1)


class Map(NamedTuple):
  """One level of a pyramid.

  Attributes:
    chroma: [B, h, w, 2] in network units, on the integer grid; where a hint is
      its value.
    hints: [B, h, w, 3], or None.
  """

  chroma: jax.Array
  hints: jax.Array | None


def hint_pyramid(hints: jax.Array | None, num_levels: int) -> list:
  """Hints of all levels, coarsest first, from the finest [B, h, w, 3]."""
  maps = [hints]
  for _ in range(num_levels):
    maps.insert(0, None if hints is None else coarsen_hints(maps[0]))
  return maps


def pyramid(
  chroma: jax.Array, hints: jax.Array | None, num_levels: int
) -> list[Map]:
  """Maps of all levels, coarsest first, from the finest [B, h, w, 2]."""
  *coarser, finest = hint_pyramid(hints, num_levels)
  maps = [Map(hint_maps.put(chroma, finest), finest)]
  for known in reversed(coarser):
    coarse = hint_maps.put(coarsen(maps[0].chroma), known)
    maps.insert(0, Map(coarse, known))
  return maps


def on_finest_grid(
  log_probs: Sequence[jax.Array], hints: jax.Array | None = None
) -> jax.Array:
  """Spreads each cell's log-probability evenly over its finest values.

  Args:
    log_probs: in nats, of the coarsest map [B, h_0, w_0], then of the cells of
      each level on the grid of the one below it.
    hints: [B, h, w, 3] of the finest map; values they give get a share of 0.

  Returns:
    [B, h, w].
  """
  coarsest, *finer = log_probs
  sides = [1 << len(finer), *(1 << n for n in range(len(finer), 0, -1))]
  height, width = (sides[0] * side for side in coarsest.shape[1:])
  others = jnp.ones((len(coarsest), height, width))
  if hints is not None:
    others = 1.0 - hints[..., 2]
  total = 0.0
  for log_prob, side in zip(log_probs, sides, strict=True):
    squares = others.reshape(
      len(coarsest), height // side, side, width // side, side
    )
    count = squares.sum((2, 4))
    each = log_prob / jnp.maximum(count, 1.0)
    total += (each[:, :, None, :, None] * squares).reshape(others.shape)
  return total
