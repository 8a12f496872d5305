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

  There is no non-linearity between the stages, because every block begins with
  one. The output has no non-linearity either.

  Attributes:
    stages: rows (width, stride, number of blocks, dilation) of Table 1. A stage
      is a 3x3 convolution with this stride, followed by the blocks. The first
      convolution of each block has this dilation.
    features: width E of the embedding, the output of a last 3x3 convolution.
    gated: see `GatedBlock`.
    dropout_rate: dropout rate of the residual blocks.
    remat: whether the backward pass recomputes each block's activations.
    head_scale, head_mean: initial standard deviation and mean of the output
      channels, one number for all or one for each (data-dependent
      initialisation).
    dtype: dtype of all convolutions except the first, which is float32. The
      sums of residual blocks are float32, too.
    pooling: side of the windows of an average pooling before the last stage.
      With a backbone the pooling is before the first stage, so only the
      backbone sees the image at full resolution.
    backbone: module that maps the luminance to a term that is added to the
      output of the last stage's convolution, before the blocks; or None.
    reads_hints: whether the network can read hints.
    returns_backbone_maps: whether the backbone's feature maps are returned too.
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
  returns_backbone_maps: bool = False

  @nn.compact
  def __call__(
    self,
    luminance: jax.Array,
    train: bool = False,
    hints: jax.Array | None = None,
  ) -> Any:
    """Computes the embedding of grey images.

    Args:
      luminance: [B, H, W, 1] in network units.
      train: whether to apply dropout.
      hints: [B, h, w, 3] known chroma (see `hints`), or None.

    Returns:
      The embedding [B, h, w, E] float32. If `returns_backbone_maps`, a pair of
      the embedding and the list of the backbone's feature maps from fine to
      coarse, which is empty without a backbone.

    Raises:
      ValueError: if there are hints and the network cannot read them.
    """
    conv = functools.partial(
      layers.WeightNormConv, kernel_size=(3, 3), dtype=self.dtype
    )
    block = layers.GatedBlock
    if self.remat:
      block = nn.remat(block, static_argnums=(3,))
    x, backbone_maps = luminance, []
    pooled_stage = len(self.stages) - 1 if self.backbone is None else 0
    for stage, (width, stride, num_blocks, dilation) in enumerate(self.stages):
      # The first convolution reads the grey values in float32.
      dtype = self.dtype if stage else jnp.float32
      is_last = stage == len(self.stages) - 1
      if stage == pooled_stage:
        x = color.subsample(x, self.pooling, 'area')
      x = x if stage else layers.append_ones(x)
      x = conv(width, stride=stride, dtype=dtype, name=f'stage_{stage}')(x)
      x = x.astype(jnp.float32)
      if is_last and self.backbone is not None:
        projected, backbone_maps = self.backbone(luminance, x.shape[1:3])
        x = x + projected
      if is_last:
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
    return (embedded, backbone_maps) if self.returns_backbone_maps else embedded

  def _add_hints(self, x: jax.Array, hints: jax.Array | None) -> jax.Array:
    """Adds a convolution of the hints [B, h, w, 3] to x.

    Its kernel starts at 0. It has no weight norm, because most images have no
    hints, and data-dependent initialisation from zeros would set a huge gain.
    It has no bias, because images without hints must not be changed.

    Raises:
      ValueError: if there are hints and the network cannot read them.
    """
    if not self.reads_hints:
      if hints is not None:
        raise ValueError(
          'The model cannot read hints, because `model.hint_share` is 0. Give '
          'no hints, or use a model that was trained with hints.'
        )
      return x
    shape = (3, 3, 3, x.shape[-1])
    kernel = self.param('hints', nn.initializers.zeros, shape)
    if hints is None:
      return x
    return x + layers.convolve(hints, kernel, 'SAME')
