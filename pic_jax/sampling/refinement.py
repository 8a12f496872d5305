"""Sampling of the finer levels of a chroma map; see `model.levels`."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from pic_jax.model import level_sampling, parameters, pic
from pic_jax.sampling import conditions

# Level k folds `LEVEL_STREAM` + k into a sample's key. The candidates of
# guidance fold in 0, 1, ..., so levels and candidates have independent noise.
LEVEL_STREAM = 2**31


class Inputs(NamedTuple):
  """Inputs of the finer levels for N = B S canvases, except maps and hints.

  Attributes:
    luminance: [B, H, W, 1] in network units.
    embedding: [B, h_0, w_0, E], on the grid of the coarsest map.
    features: feature maps of the backbone.
    noise: noise of each finer level, see `draw_noise`.
  """

  luminance: jax.Array
  embedding: jax.Array
  features: tuple[jax.Array, ...]
  noise: list[jax.Array]


def draw_noise(
  model: pic.PIC,
  keys: jax.Array,
  sample_ids: int | jax.Array,
  *,
  grid: tuple[int, int],
  temperature: float | jax.Array,
) -> list[jax.Array]:
  """Draws the noise of every finer level, multiplied by the temperature.

  Args:
    model: network with finer levels.
    keys, sample_ids: see `conditions.draw_noise`.
    grid: rows and columns of the coarsest map.
    temperature: temperature of the finer levels.

  Returns:
    Arrays [N, h, w, ...] for N = B S canvases, one for each finer level from
    coarse to fine. The noise of a level has the grid of the next coarser level.
  """
  noise = []
  for level in range(1, model.levels + 1):
    rows, columns = (side << (level - 1) for side in grid)

    def draw_fn(
      key: jax.Array, level: int = level, sides: tuple = (rows, columns)
    ) -> jax.Array:
      return level_sampling.noise(
        jax.random.fold_in(key, LEVEL_STREAM + level), *sides
      )

    drawn = conditions.for_samples(keys, sample_ids, draw_fn)
    noise.append(temperature * drawn)
  return noise


def refine(
  model: pic.PIC,
  params: parameters.Params,
  canvas: jax.Array,
  *,
  inputs: Inputs,
  hints: Sequence[jax.Array | None],
) -> tuple[jax.Array, list[jax.Array]]:
  """Refines coarsest maps to finest maps, level by level.

  Args:
    model: network with finer levels.
    params: parameters of the network.
    canvas: [N, h_0, w_0, 2] coarsest maps in network units, on the integer
      grid.
    inputs: the other inputs of the finer levels.
    hints: one entry for each finer level: the hints [N, h, w, 3] of its map, or
      None.

  Returns:
    Two items: the finest maps [N, h, w, 2] in network units, on the integer
    grid; and a list with one array [N, h', w'] for each finer level, the
    log-probabilities of its 2 x 2 cells in nats, on the grid of the next
    coarser level.
  """
  log_probs = []
  for level, (noise, level_hints) in enumerate(
    zip(inputs.noise, hints, strict=True), 1
  ):
    net = model.build_level()
    variables = {'params': params[f'level_{level}']}
    context = net.apply(
      variables,
      inputs.luminance,
      inputs.embedding,
      canvas.shape[1:3],
      features=inputs.features,
      method='context',
    )
    context = jnp.repeat(context, len(canvas) // len(context), 0)
    canvas, log_prob = net.apply(
      variables, context, canvas, noise, hints=level_hints, method='sample'
    )
    log_probs.append(log_prob)
  return canvas, log_probs
