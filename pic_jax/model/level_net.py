"""Network of a finer level, on the grid of the coarse map; see `levels`."""

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

# Initial standard deviation of each projected input. The projections are added.
INIT_SCALE = 0.5
# Initial standard deviation of the heads' outputs. It is small, so theta is
# nearly constant over the map at the start of training.
HEAD_SCALE = 0.1
# The luminance of a coarse cell is averaged to this many values along each
# side, two for each fine value.
LUMINANCE_SIDE = 4
# The second stage reads the difference between x0 and its guess, divided by
# this many steps of the grid.
RESIDUAL_UNIT = 8.0


def space_to_depth(x: jax.Array, side: int) -> jax.Array:
  """Moves squares into channels: [B, s h, s w, C] -> [B, h, w, s s C]."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height // side, side, width // side, side, channels)
  x = jnp.moveaxis(x, 2, 3)
  return x.reshape(batch, height // side, width // side, -1)


class LevelNet(nn.Module):
  """Feed-forward network that refines a map in two stages.

  The first stage predicts q and x0 of all cells, the second x1, x2 and x3.

  Attributes:
    features: number F of channels of the feature maps.
    num_blocks: number of residual blocks in each stage.
    gated: whether the blocks have the gating non-linearity (paper sec. 4.4).
    dtype: dtype of the convolutions in the blocks, and of those that read the
      embedding and the features. The sums of the residual blocks are float32.
  """

  features: int
  num_blocks: int
  gated: bool = True
  dtype: Any = jnp.float32

  def setup(self) -> None:
    input_conv = functools.partial(
      layers.WeightNormConv, self.features, init_scale=INIT_SCALE
    )
    self.luminance_in = input_conv(kernel_size=(3, 3))
    self.embedding_in = input_conv(dtype=self.dtype)
    self.features_in = input_conv(dtype=self.dtype)
    self.finer_features_in = input_conv(dtype=self.dtype)
    self.coarse_in = input_conv(kernel_size=(3, 3))
    self.drawn_in = input_conv(kernel_size=(3, 3))
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
    """Adds up the projected inputs that all samples of an image share.

    Args:
      luminance: [B, H, W, 1] in network units.
      embedding: [B, h', w', E], on the coarse grid or on a coarser grid.
      shape: (h, w) of the coarse map.
      features: feature maps of a backbone. Only the first one on the coarse
        grid and the first one on the fine grid are read.

    Returns:
      [B, h, w, F] float32.
    """
    pixels_per_cell = luminance.shape[1] // shape[0]
    # If each fine value covers one pixel, a cell has only 2 x 2 pixels.
    side = min(LUMINANCE_SIDE, pixels_per_cell)
    means = color.subsample(luminance, pixels_per_cell // side, 'area')
    means = space_to_depth(means, side)
    total = self.luminance_in(layers.append_ones(means))
    projected = self.embedding_in(layers.concat_elu(embedding))
    total += backbone_embedding.to_grid(projected.astype(jnp.float32), shape)
    for scale, project in ((1, self.features_in), (2, self.finer_features_in)):
      grid = (scale * shape[0], scale * shape[1])
      on_grid = [x for x in features if x.shape[1:3] == grid]
      if on_grid:
        total += project(space_to_depth(on_grid[0], scale)).astype(jnp.float32)
    return total

  def first(
    self,
    context: jax.Array,
    cells: level_likelihood.Cells,
    hints: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    """Runs the first stage, which predicts q and x0.

    Args:
      context: [N, h, w, F], see `context`.
      cells: the coarse map with its first guesses.
      hints: [N, 2 h, 2 w, 3] of the finer map, or None.

    Returns:
      Raw outputs [N, h, w, `level_likelihood.FIRST_OUTPUTS`], and the feature
      map [N, h, w, F] that `second` takes.
    """
    if hints is None:
      shape = (*context.shape[:3], 12)  # 4 fine values with 3 channels each
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
    """Runs the second stage, which predicts x1, x2 and x3.

    Args:
      x: [N, h, w, F] feature map returned by `first`.
      cells: the coarse map with its first guesses.
      offset: [N, h, w, 2] the offsets q.
      x0: [N, h, w, 2] integers 0..255.

    Returns:
      Raw outputs [N, h, w, `level_likelihood.SECOND_OUTPUTS`].
    """
    guess = level_likelihood.first_interval(cells, offset).guess
    residual = (x0 - guess) * (1.0 / RESIDUAL_UNIT)
    centred_offset = jnp.where(cells.has_hint, 0.0, offset - 1.5)
    has_hint = cells.has_hint.astype(jnp.float32)
    inputs = jnp.concatenate([residual, centred_offset, has_hint], -1)
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
    """Computes the context and then the log-probability; see `log_prob`.

    Args:
      luminance, embedding, features: see `context`.
      coarse, fine: maps of two successive levels, see `log_prob`.

    Returns:
      [N, h, w] nats.
    """
    _, height, width, _ = coarse.chroma.shape
    context = self.context(
      luminance, embedding, (height, width), features=features
    )
    return self.log_prob(context, coarse, fine)

  def log_prob(
    self, context: jax.Array, coarse: levels.LevelMap, fine: levels.LevelMap
  ) -> jax.Array:
    """Computes the log-probability of a map given the next coarser map.

    Args:
      context: [N, h, w, F], see `context`.
      coarse: coarser map, with chroma [N, h, w, 2].
      fine: finer map, with chroma [N, 2 h, 2 w, 2]. Its hinted values are not
        counted.

    Returns:
      [N, h, w] log-probability of each 2 x 2 cell of `fine`, in nats.
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
    """Draws a map given the next coarser map.

    Args:
      context: [N, h, w, F], see `context`.
      coarse: [N, h, w, 2] in network units, on the integer grid.
      noise: [N, h, w, ...] noise of the level (see `level_sampling.noise`),
        multiplied by the temperature.
      hints: [N, 2 h, 2 w, 3] of the finer map, or None.

    Returns:
      The finer map [N, 2 h, 2 w, 2] in network units; and the log-probability
      [N, h, w] of each 2 x 2 cell of this map, in nats.
    """
    cells = level_likelihood.prepare(levels.from_network(coarse), hints)
    cell_hints = None if hints is None else levels.to_cells(hints)
    known = None if cell_hints is None else cell_hints[..., 2]
    first, x = self.first(context, cells, hints)
    offset, x0 = level_sampling.sample_first(
      first, cells, noise, hints=cell_hints
    )
    second = self.second(x, cells, offset, x0=x0)
    stages = level_likelihood.Stages(first, second)
    values = level_sampling.sample_second(
      stages, cells, (offset, x0), noise=noise, hints=cell_hints
    )
    log_prob = level_likelihood.log_prob(stages, cells, values, known=known)
    return levels.to_network(levels.from_cells(values)), log_prob
