"""The embedding network g^w(X^L) (paper sec. 3.3 and Table 1)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.images import color
from pic_jax.model import layers


class EmbeddingNet(nn.Module):
  """Feed-forward network of strided convolutions and gated residual blocks.

  No non-linearity stands between the stages or at the end: every block begins
  with one.

  Attributes:
    stages: rows of Table 1, (width, stride, number of blocks, dilation): a 3x3
      convolution with this stride, then the blocks.
    features: width E of the last convolution, 3x3.
    dtype: of the convolutions after the first; what blocks add up is float32.
    pooling: side of the squares whose means the last stage gets; with a
      backbone, which needs the pixels more, the first one.
    backbone: module that sees the whole luminance; what it gives is added to
      the last stage's convolution, before its blocks.
    reads_hints: whether it can be told cells of the chroma map.
    gives_features: whether the backbone's features are returned, too.
    head_scale, head_mean: [features] deviation and mean with which the output
      channels start (data-dependent initialisation), or one number.
  """

  stages: tuple[tuple[int, int, int, int], ...]
  features: int
  gated: bool = True
  dropout_rate: float = 0.0
  remat: bool = False
  head_scale: float | tuple[float, ...] = 1.0
  head_mean: float | tuple[float, ...] = 0.0
  dtype: Any = jnp.float32
  pooling: int = 1
  backbone: nn.Module | None = None
  reads_hints: bool = False
  gives_features: bool = False

  @nn.compact
  def __call__(
    self,
    luminance: jax.Array,
    train: bool = False,
    hints: jax.Array | None = None,
  ) -> tuple[jax.Array, list[jax.Array]] | jax.Array:
    """Embeds luminance [B, H, W, 1] to float32 [B, h, w, E].

    Args:
      luminance: in network units.
      train: whether to apply dropout.
      hints: [B, h, w, 3], see `hints`.

    Returns:
      The embedding; if `gives_features`, a pair of it and the features of the
      backbone, from fine to coarse (an empty list without a backbone).
    """
    if hints is not None and not self.reads_hints:
      raise ValueError('The model reads no hints: `model.hint_share` is 0.')
    conv = functools.partial(
      layers.WeightNormConv, kernel_size=(3, 3), dtype=self.dtype
    )
    block = layers.GatedBlock
    if self.remat:
      block = nn.remat(block, static_argnums=(3,))
    features = []
    pooled_stage = len(self.stages) - 1 if self.backbone is None else 0
    x = luminance
    for stage, (width, stride, num_blocks, dilation) in enumerate(self.stages):
      # The grey levels in float32, like all that blocks add to.
      dtype = self.dtype if stage else jnp.float32
      is_last = stage == len(self.stages) - 1
      if stage == pooled_stage:
        x = color.subsample(x, self.pooling, 'area')
      x = x if stage else layers.append_ones(x)
      x = conv(width, stride=stride, dtype=dtype, name=f'stage_{stage}')(x)
      x = x.astype(jnp.float32)
      if is_last and self.backbone is not None:
        projected, features = self.backbone(luminance, x.shape[1:3])
        x = x + projected
      if is_last and self.reads_hints:
        x = self._add_hints(x, hints)
      for index in range(num_blocks):
        x = block(
          width,
          functools.partial(conv, dilation=dilation),
          gated=self.gated,
          dropout_rate=self.dropout_rate,
          dtype=self.dtype,
          name=f'stage_{stage}_block_{index}',
        )(x, None, train)
    head = conv(
      self.features,
      init_scale=self.head_scale,
      init_mean=self.head_mean,
      name='head',
    )
    embedded = head(x).astype(jnp.float32)
    return (embedded, features) if self.gives_features else embedded

  def _add_hints(self, x: jax.Array, hints: jax.Array | None) -> jax.Array:
    """Adds a convolution of the hints [B, h, w, 3], which starts at 0.

    Plain, and without a bias: most hints are 0 everywhere, for which a start
    from data would set an infinite gain, and must then change nothing.
    """
    shape = (3, 3, 3, x.shape[-1])
    kernel = self.param('hints', nn.initializers.zeros, shape)
    if hints is None:
      return x
    return x + layers.convolve(hints, kernel, 'SAME')
