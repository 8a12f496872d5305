"""The network of a finer level, on the grid of the coarse map; see `levels`."""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.images import color
from pic_jax.model import (
  backbone_embedding,
  layers,
  level_likelihood,
  level_sampling,
  levels,
)

# Deviation with which each of the maps of a context enters the sum.
INIT_SCALE = 0.5
# Start of the heads: theta is nearly the same everywhere.
HEAD_SCALE = 0.1
# Means of luminance along each side of a coarse cell, so two for a fine one.
LUMINANCE_SIDE = 4
# What x0 differs by from its guess enters in units of this many levels.
RESIDUAL_UNIT = 8.0


def space_to_depth(x: jax.Array, side: int) -> jax.Array:
  """[B, side h, side w, C] -> [B, h, w, side side C]."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height // side, side, width // side, side, channels)
  x = jnp.moveaxis(x, 2, 3)
  return x.reshape(batch, height // side, width // side, -1)


class LevelNet(nn.Module):
  """Feed-forward network that refines a map in two stages.

  Attributes:
    features: channels of every convolution.
    num_blocks: gated residual blocks of either stage.
    dtype: of the convolutions within blocks; their sum is float32.
  """

  features: int
  num_blocks: int
  gated: bool = True
  dtype: Any = jnp.float32

  def setup(self) -> None:
    conv = functools.partial(
      layers.WeightNormConv, self.features, init_scale=INIT_SCALE
    )
    self.luminance_in = conv(kernel_size=(3, 3))
    self.embedding_in = conv(dtype=self.dtype)
    self.features_in = conv(dtype=self.dtype)
    self.finer_features_in = conv(dtype=self.dtype)
    self.coarse_in = conv(kernel_size=(3, 3))
    self.drawn_in = conv(kernel_size=(3, 3))
    conv = functools.partial(
      layers.WeightNormConv, kernel_size=(3, 3), dtype=self.dtype
    )
    block = functools.partial(
      layers.GatedBlock,
      self.features,
      conv,
      gated=self.gated,
      dtype=self.dtype,
    )
    self.first_blocks = [block() for _ in range(self.num_blocks)]
    self.second_blocks = [block() for _ in range(self.num_blocks)]
    self.first_head = layers.WeightNormConv(
      level_likelihood.FIRST_OUTPUTS,
      init_scale=HEAD_SCALE,
      init_mean=level_likelihood.initial_theta(8, 1, 0),
    )
    self.second_head = layers.WeightNormConv(
      level_likelihood.SECOND_OUTPUTS,
      init_scale=HEAD_SCALE,
      init_mean=level_likelihood.initial_theta(0, 3, 2),
    )

  def context(
    self,
    luminance: jax.Array,
    embedding: jax.Array,
    shape: tuple[int, int],
    *,
    features: Sequence[jax.Array] = (),
  ) -> jax.Array:
    """Sums up what no sample changes, [B, h, w, F].

    Args:
      luminance: [B, H, W, 1] in network units.
      embedding: [B, h', w', E], on this grid or a coarser one.
      shape: h, w of the coarse map.
      features: of a backbone; those on this grid and on the finer one are
        read.
    """
    # A fine cell may be one pixel.
    pixels = luminance.shape[1] // shape[0]
    side = min(LUMINANCE_SIDE, pixels)
    pixels = color.subsample(luminance, pixels // side, 'area')
    pixels = space_to_depth(pixels, side)
    total = self.luminance_in(layers.append_ones(pixels))
    projected = self.embedding_in(layers.concat_elu(embedding))
    total += backbone_embedding.to_grid(projected.astype(jnp.float32), shape)
    for side, project in ((1, self.features_in), (2, self.finer_features_in)):
      wanted = (side * shape[0], side * shape[1])
      found = [x for x in features if x.shape[1:3] == wanted]
      if found:
        total += project(space_to_depth(found[0], side)).astype(jnp.float32)
    return total

  def first(
    self,
    context: jax.Array,
    cells: level_likelihood.Cells,
    hints: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    """Predicts q and x0.

    Args:
      context: [N, h, w, F].
      cells: the coarse map.
      hints: [N, 2 h, 2 w, 3], or None for none.

    Returns:
      theta [N, h, w, `level_likelihood.FIRST_OUTPUTS`], and the features
      [N, h, w, F] from which `second` continues.
    """
    if hints is None:
      shape = (*context.shape[:3], 12)
      hints = jnp.zeros(shape)
    else:
      hints = space_to_depth(hints, 2)
    coarse = levels.to_network(cells.coarse)
    inputs = jnp.concatenate([coarse, hints], -1)
    x = context + self.coarse_in(layers.append_ones(inputs))
    for block in self.first_blocks:
      x = block(x)
    return self.first_head(nn.elu(x)), x

  def second(
    self,
    x: jax.Array,
    cells: level_likelihood.Cells,
    offset: jax.Array,
    *,
    x0: jax.Array,
  ) -> jax.Array:
    """Predicts x1, x2 and x3, [N, h, w, `level_likelihood.SECOND_OUTPUTS`].

    Args:
      x: what `first` returned.
      cells: the coarse map.
      offset, x0: [N, h, w, 2], what the first stage drew.
    """
    guess = level_likelihood.first_interval(cells, offset).guess
    residual = (x0 - guess) * (1.0 / RESIDUAL_UNIT)
    offset = jnp.where(cells.has_hint, 0.0, offset - 1.5)
    free = cells.has_hint.astype(jnp.float32)
    inputs = jnp.concatenate([residual, offset, free], -1)
    x = x + self.drawn_in(layers.append_ones(inputs))
    for block in self.second_blocks:
      x = block(x)
    return self.second_head(nn.elu(x))

  def __call__(
    self,
    luminance: jax.Array,
    embedding: jax.Array,
    features: Sequence[jax.Array],
    *,
    coarse: levels.LevelMap,
    fine: levels.LevelMap,
  ) -> jax.Array:
    """`log_prob` with the `context` of these images."""
    shape = coarse.chroma.shape[1:3]
    context = self.context(luminance, embedding, shape, features=features)
    return self.log_prob(context, coarse, fine)

  def log_prob(
    self, context: jax.Array, coarse: levels.LevelMap, fine: levels.LevelMap
  ) -> jax.Array:
    """Log-probability of a map's cells given the coarser map, [N, h, w] nats.

    Args:
      context: [N, h, w, F].
      coarse: [N, h, w, 2].
      fine: [N, 2 h, 2 w, 2]; what its hints give is not counted.
    """
    cells = level_likelihood.prepare(
      levels.from_network(coarse.chroma), fine.hints
    )
    values = levels.to_cells(levels.from_network(fine.chroma))
    first, x = self.first(context, cells, fine.hints)
    offset = level_likelihood.offsets(cells, values)
    second = self.second(x, cells, offset, x0=values[..., 0, :])
    known = None
    if fine.hints is not None:
      known = levels.to_cells(fine.hints)[..., 2]
    return level_likelihood.log_prob(
      level_likelihood.Stages(first, second), cells, values, known=known
    )

  def sample(
    self,
    context: jax.Array,
    coarse: jax.Array,
    noise: jax.Array,
    *,
    hints: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    """Draws the finer map of a coarse one.

    Args:
      context: [N, h, w, F].
      coarse: [N, h, w, 2] in network units.
      noise: see `level_sampling.noise`, times the temperature.
      hints: [N, 2 h, 2 w, 3] of the finer map, or None.

    Returns:
      [N, 2 h, 2 w, 2] in network units, and the log-probability [N, h, w] of
      what was drawn in each cell, in nats.
    """
    cells = level_likelihood.prepare(levels.from_network(coarse), hints)
    known = None if hints is None else levels.to_cells(hints)
    theta, x = self.first(context, cells, hints)
    offset, x0 = level_sampling.sample_first(theta, cells, noise, hints=known)
    stages = level_likelihood.Stages(
      theta, self.second(x, cells, offset, x0=x0)
    )
    values = level_sampling.sample_second(
      stages, cells, (offset, x0), noise=noise, hints=known
    )
    log_prob = level_likelihood.log_prob(
      stages, cells, values, known=None if known is None else known[..., 2]
    )
    return levels.to_network(levels.from_cells(values)), log_prob
