"""Sampling of the finer levels of a chroma map; see `levels`."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from pic_jax.model import level_sampling, parameters, pic
from pic_jax.sampling import conditions

# Offset of the levels in a sample's key; candidates of pixels use 0, 1, ...
LEVEL_STREAM = 2**31


class Inputs(NamedTuple):
  """Inputs of the finer levels for N = B S canvases, beside the coarser map.

  Attributes:
    luminance: [B, H, W, 1] in network units.
    embedding: [B, h_0, w_0, E].
    features: features of the backbone.
    noise: [N, h, w, ...] of each level, on the grid below it.
  """

  luminance: jax.Array
  embedding: jax.Array
  features: tuple[jax.Array, ...]
  noise: list[jax.Array]


def draw_noise(
  model: pic.PIC,
  keys: jax.Array,
  samples: int | jax.Array,
  *,
  shape: tuple[int, int],
  temperature: float | jax.Array,
) -> list[jax.Array]:
  """Draws the noise of every finer level, [N, h, w, ...], times a temperature.

  Args:
    model: has levels.
    keys, samples: see `conditions.draw_noise`.
    shape: rows and columns of the coarsest map.
    temperature: of the finer levels.
  """
  noise = []
  for level in range(1, model.levels + 1):
    rows, columns = (side << (level - 1) for side in shape)

    def draw_fn(
      key: jax.Array, level: int = level, sides: tuple = (rows, columns)
    ) -> jax.Array:
      return level_sampling.noise(
        jax.random.fold_in(key, LEVEL_STREAM + level), *sides
      )

    drawn = conditions.for_samples(keys, samples, draw_fn)
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
  """Refines coarsest maps to finest ones.

  Args:
    model: has levels.
    params: its parameters.
    canvas: [N, h_0, w_0, 2] in network units, on the integer grid.
    inputs: see `Inputs`.
    hints: [N, h, w, 3] of the map of each level, or None for none.

  Returns:
    [N, h, w, 2] in network units, on the integer grid, and the log-probability
    of each level's cells on the grid below it, in nats.
  """
  log_probs = []
  for level, (noise, known) in enumerate(
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
      variables, context, canvas, noise, hints=known, method='sample'
    )
    log_probs.append(log_prob)
  return canvas, log_probs
