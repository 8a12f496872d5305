"""Finer levels of the chroma: p(fine | coarse, L), exact on integers.

Each level doubles the height and the width of the next coarser one. A coarse
value is the rounded mean of a 2 x 2 cell of fine values, for each channel:
m = floor((x0 + x1 + x2 + x3 + 2) / 4), with x0 to x3 in raster order. The
offset q = x0 + x1 + x2 + x3 + 2 - 4 m is one of 0..3. The sum follows from m
and q, so (m, q, x0, x1, x2) and (x0, x1, x2, x3) determine each other, and
p(fine | L) = p(coarse | L) p(fine | coarse, L) holds exactly.

q is drawn first, from a categorical distribution. Then x0, x1 and x2 are drawn
from mixtures of discretised logistics. The sum then determines x3, which costs
no bits. Each value is limited to the integers for which the values after it can
still make up the rest of the sum. The lowest and the highest of these integers
take the tails of the logistics, as the ends of the grid do in
`logistic_mixture`.

In a cell that contains hints, the sum is not constrained. The coarse value is
the rounded mean of the hints, and all values that are not hints, including x3,
are drawn from 0..R - 1.

This module converts between the levels. The likelihood is in
`level_likelihood`, sampling in `level_sampling`. Values are integers 0..R - 1
in float32, where R is 256 except in tests, and a cell is an array [..., 4, 2].
The integer k stands for the grid value k of `logistic_mixture`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from pic_jax.model import hints as hint_maps
from pic_jax.model import logistic_mixture

# Number R of grid values of a channel.
NUM_VALUES = 256


def from_network(chroma: jax.Array) -> jax.Array:
  """Converts chroma in network units, on the grid, to integers 0..255."""
  return (
    logistic_mixture.nearest_grid_values(chroma) + logistic_mixture.HALF_RANGE
  )


def to_network(values: jax.Array) -> jax.Array:
  """Converts integers 0..255 to chroma in network units."""
  return (values - logistic_mixture.HALF_RANGE) * (
    1.0 / logistic_mixture.STEPS_PER_UNIT
  )


def to_cells(fine: jax.Array) -> jax.Array:
  """Groups values into 2 x 2 cells: [..., 2 h, 2 w, C] -> [..., h, w, 4, C]."""
  *lead, height, width, channels = fine.shape
  cells = fine.reshape(*lead, height // 2, 2, width // 2, 2, channels)
  cells = jnp.moveaxis(cells, -3, -4)  # [..., h, w, 2, 2, C]
  return cells.reshape(*lead, height // 2, width // 2, 4, channels)


def from_cells(cells: jax.Array) -> jax.Array:
  """Inverts `to_cells`: [..., h, w, 4, C] -> [..., 2 h, 2 w, C]."""
  *lead, height, width, _, channels = cells.shape
  fine = cells.reshape(*lead, height, width, 2, 2, channels)
  fine = jnp.moveaxis(fine, -4, -3)  # [..., h, 2, w, 2, C]
  return fine.reshape(*lead, 2 * height, 2 * width, channels)


def rounded_mean(cells: jax.Array) -> jax.Array:
  """Averages cells [..., 4, 2] to coarse values [..., 2]; rounds halves up."""
  return jnp.floor((cells.sum(-2) + 2.0) * 0.25)


def coarsen(chroma: jax.Array) -> jax.Array:
  """Converts chroma of a level to chroma of the next coarser level.

  Args:
    chroma: [B, 2 h, 2 w, 2] in network units, on the integer grid.

  Returns:
    [B, h, w, 2] in network units, on the integer grid.
  """
  return to_network(rounded_mean(to_cells(from_network(chroma))))


def coarsen_hints(hints: jax.Array) -> jax.Array:
  """Converts hints of a level to hints of the next coarser level.

  A coarse value is known if any of its four fine values is known. It is then
  the rounded mean of the known fine values.

  Args:
    hints: [B, 2 h, 2 w, 3].

  Returns:
    [B, h, w, 3].
  """
  cells = to_cells(hints)
  known = cells[..., 2]
  count = known.sum(-1)
  total = (from_network(cells[..., :2]) * known[..., None]).sum(-2)
  mean = jnp.floor(total / jnp.maximum(count, 1.0)[..., None] + 0.5)
  is_known = (count > 0).astype(jnp.float32)[..., None]
  return jnp.concatenate([is_known * to_network(mean), is_known], -1)


class LevelMap(NamedTuple):
  """Chroma and hints of one level.

  Attributes:
    chroma: [B, h, w, 2] in network units, on the integer grid. Pixels with a
      hint have the value of the hint.
    hints: [B, h, w, 3], or None.
  """

  chroma: jax.Array
  hints: jax.Array | None


def hint_pyramid(
  hints: jax.Array | None, num_levels: int
) -> list[jax.Array | None]:
  """Converts hints to the hints of all levels.

  Args:
    hints: [B, h, w, 3] of the finest map, or None.
    num_levels: number of finer levels, without the coarsest map.

  Returns:
    A list of `num_levels` + 1 hint maps, coarsest first; all of them are None
    if `hints` is None.
  """
  maps = [hints]
  for _ in range(num_levels):
    hints = None if hints is None else coarsen_hints(hints)
    maps.insert(0, hints)
  return maps


def pyramid(
  chroma: jax.Array, hints: jax.Array | None, num_levels: int
) -> list[LevelMap]:
  """Converts chroma and hints to the maps of all levels.

  Args:
    chroma: [B, h, w, 2] finest map in network units, on the integer grid.
    hints: [B, h, w, 3] of the finest map, or None.
    num_levels: number of finer levels, without the coarsest map.

  Returns:
    A list of `num_levels` + 1 maps, coarsest first.
  """
  *coarser, finest = hint_pyramid(hints, num_levels)
  maps = [LevelMap(hint_maps.put(chroma, finest), finest)]
  for coarse_hints in reversed(coarser):
    coarse = hint_maps.put(coarsen(maps[0].chroma), coarse_hints)
    maps.insert(0, LevelMap(coarse, coarse_hints))
  return maps


def on_finest_grid(
  log_probs: Sequence[jax.Array], hints: jax.Array | None = None
) -> jax.Array:
  """Spreads each log-probability evenly over the finest pixels it covers.

  Args:
    log_probs: log-probabilities in nats. The first array [B, h_0, w_0] belongs
      to the coarsest map. Each further array belongs to a finer level. It has
      one entry for each 2 x 2 cell of the level, so it has the grid of the next
      coarser level.
    hints: [B, h, w, 3] of the finest map, or None; hinted pixels get 0.

  Returns:
    [B, h, w] nats.
  """
  coarsest, *finer = log_probs
  # Side, in finest pixels, of the square that one entry of each array covers.
  sides = [1 << len(finer), *(1 << n for n in range(len(finer), 0, -1))]
  height, width = (sides[0] * side for side in coarsest.shape[1:])
  is_unknown = jnp.ones((len(coarsest), height, width))
  if hints is not None:
    is_unknown = 1.0 - hints[..., 2]
  total = jnp.zeros_like(is_unknown)
  for log_prob, side in zip(log_probs, sides, strict=True):
    squares = is_unknown.reshape(
      len(coarsest), height // side, side, width // side, side
    )
    count = squares.sum((2, 4))
    share = log_prob / jnp.maximum(count, 1.0)
    total += (share[:, :, None, :, None] * squares).reshape(is_unknown.shape)
  return total
