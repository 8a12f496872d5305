"""Probabilistic Image Colorization: p(X^ab | X^L) (paper sec. 3.2, eq. 2)."""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.images import color
from pic_jax.model import (
  backbone_embedding,
  causal_decoder,
  classification_head,
  embedding_net,
  heads,
  logistic_mixture,
  regression_head,
)

# Gain of the heads at the start: theta is nearly the same everywhere.
HEAD_SCALE = 0.1
# Builders of heads. Theta comes from the decoder, or, for all other heads, from
# the first P channels of the embedding.
HEADS = {
  'decoder': logistic_mixture.build_head,
  'mixture': logistic_mixture.build_head,
  'regression': regression_head.build_head,
  'classification': classification_head.build_head,
  'classification_median': classification_head.build_median_head,
}


class LabBatch(NamedTuple):
  """What the model sees of a batch of RGB images, in network units.

  Attributes:
    luminance: [B, H, W, 1], at most 256 values.
    chroma: [B, h, w, 2] on the integer grid: canvas and target.
    chroma_unrounded: [B, h, w, 2], target of the paper's rule.
    luminance_small: [B, h, w, 1], for the means of the mixture.
  """

  luminance: jax.Array
  chroma: jax.Array
  chroma_unrounded: jax.Array
  luminance_small: jax.Array


class PIC(nn.Module):
  """Embedding network and autoregressive decoder; fields are `config.model`.

  Other heads leave the decoder out and take every pixel by itself: the same
  network with the losses of other methods, to compare with.

  Attributes:
    embedding_stages: rows of Table 1, see `EmbeddingNet.stages`.
    embedding_features: width E of the embedding, at least P = 8 K.
    chroma_factor: ratio of the sides of image and chroma map: the product of
      the strides, or a multiple of it, the rest being a mean before the last.
    backbone: 'efficientnet_lite0', added to the last stage, or 'none'.
    frozen_parts: of its 17, the first ones that do not learn.
    head: 'decoder' (PIC), 'mixture' (the embedding alone, paper sec. 4.3), or a
      baseline: 'regression', 'classification', 'classification_median'.
    chroma_filter: 'point' or 'area', see `color.subsample`: how the chroma is
      made that the model learns.
    decoder_features: channels of the decoder.
    decoder_blocks: blocks of each of its two streams.
    attention_heads: of the decoder's look at all earlier pixels that look
      alike, see `causal_attention`; 0 for none (the paper).
    num_components: logistics K of the mixture.
    gated: gating non-linearity (paper sec. 4.4), in both networks.
    dropout_rate: in every block, while training.
    embedding_loss_weight: weight of the auxiliary likelihood that the first P
      channels of the embedding give as a mixture of their own; 0 for none.
    hint_share: of the images while training, how many of them are given some
      cells (`hints`); 0: the embedding reads no hints.
    remat: recompute each block's activations in the backward pass.
    dtype: of what convolutions read and give: 'float32', 'bfloat16', or 'auto'
      for bfloat16 on TPU and GPU and float32 on CPU. The sums of residual
      blocks, the first convolutions and theta's head are always float32.
  """

  embedding_stages: tuple[tuple[int, int, int, int], ...]
  embedding_features: int
  chroma_factor: int = 2
  backbone: str = 'none'
  frozen_parts: int = 17
  head: str = 'decoder'
  chroma_filter: str = 'point'
  decoder_features: int = 160
  decoder_blocks: int = 4
  attention_heads: int = 0
  num_components: int = 10
  gated: bool = True
  dropout_rate: float = 0.5
  embedding_loss_weight: float = 1.0
  hint_share: float = 0.0
  remat: bool = False
  dtype: str = 'auto'

  @property
  def num_outputs(self) -> int:
    """Width P of theta."""
    return self.build_head().num_outputs

  @nn.nowrap
  def build_head(self) -> heads.Head:
    """The meaning of theta."""
    return HEADS[self.head](self.num_components)

  @property
  def has_decoder(self) -> bool:
    """Whether pixels depend on the pixels before them."""
    return self.head == 'decoder'

  @property
  def has_likelihood(self) -> bool:
    """Whether theta is a mixture of logistics, not a point estimate."""
    return self.build_head().log_prob is not None

  @property
  def embedding_has_likelihood(self) -> bool:
    """Whether the embedding's first P channels were trained as a mixture."""
    return self.head == 'mixture' or self.embedding_loss_weight > 0

  @nn.nowrap
  def subsample(self, x: jax.Array) -> jax.Array:
    """Brings maps [B, H, W, C] to the chroma grid [B, h, w, C]."""
    return color.subsample(x, self.chroma_factor, self.chroma_filter)

  @nn.nowrap
  def upsample(self, x: jax.Array) -> jax.Array:
    """Brings maps [B, h, w, C] from the chroma grid to [B, H, W, C]."""
    return color.upsample(x, self.chroma_factor, self.chroma_filter)

  @nn.nowrap
  def split_lab(self, rgb: jax.Array) -> LabBatch:
    """Splits images into condition and target (paper sec. 3.1, 3.3).

    Args:
      rgb: [B, H, W, 3] uint8; H and W divide by `chroma_factor`.
    """
    lab = color.rgb_to_lab(rgb)
    luminance = color.luminance_to_network(
      color.eight_bit_luminance(lab[..., :1])
    )
    chroma = self.subsample(lab[..., 1:])
    return LabBatch(
      luminance=luminance,
      chroma=color.chroma_to_network(color.round_chroma(chroma)),
      chroma_unrounded=color.chroma_to_network(chroma),
      luminance_small=self.subsample(luminance),
    )

  @property
  def compute_dtype(self) -> jnp.dtype:
    """Resolved `dtype`."""
    if self.dtype == 'auto':
      on_cpu = jax.default_backend() == 'cpu'
      return jnp.dtype('float32' if on_cpu else 'bfloat16')
    return jnp.dtype(self.dtype)

  @nn.nowrap  # so that an unbound module can build it, too
  def build_embedding(self) -> embedding_net.EmbeddingNet:
    """The embedding network; its parameters are `params['embedding']`."""
    rest = self.embedding_features - self.num_outputs
    if rest < 0:
      raise ValueError(
        '`model.embedding_features` must be at least the outputs of '
        f'`model.head={self.head}`, {self.num_outputs}, '
        f'got {self.embedding_features}.'
      )
    strides = math.prod(stride for _, stride, _, _ in self.embedding_stages)
    return embedding_net.EmbeddingNet(
      stages=tuple(tuple(stage) for stage in self.embedding_stages),
      features=self.embedding_features,
      reads_hints=self.hint_share > 0,
      pooling=self.chroma_factor // strides,
      backbone=backbone_embedding.build(self),
      gated=self.gated,
      dropout_rate=self.dropout_rate,
      remat=self.remat,
      head_scale=(HEAD_SCALE,) * self.num_outputs + (1.0,) * rest,
      head_mean=(*self.build_head().initial_theta, *(0.0,) * rest),
      dtype=self.compute_dtype,
    )

  @nn.nowrap  # so that an unbound module can build it, too
  def build_decoder(self) -> causal_decoder.CausalDecoder:
    """The decoder; its parameters are `params['decoder']`."""
    return causal_decoder.CausalDecoder(
      features=self.decoder_features,
      num_blocks=self.decoder_blocks,
      num_outputs=self.num_outputs,
      attention_heads=self.attention_heads,
      gated=self.gated,
      dropout_rate=self.dropout_rate,
      remat=self.remat,
      head_scale=HEAD_SCALE,
      head_mean=self.build_head().initial_theta,
      dtype=self.compute_dtype,
    )

  def setup(self) -> None:
    self.embedding = self.build_embedding()
    if self.has_decoder:
      self.decoder = self.build_decoder()

  def __call__(
    self,
    luminance: jax.Array,
    chroma: jax.Array,
    train: bool = False,
    hints: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    """Predicts every pixel's chroma from luminance and the pixels before it.

    Args:
      luminance: [B, H, W, 1] in network units.
      chroma: [B, h, w, 2] in network units, on the integer grid.
      train: whether to apply dropout.
      hints: [B, h, w, 3], cells that are given; see `hints`.

    Returns:
      theta [B, h, w, P] and embedding [B, h, w, E], float32. Without a decoder
      theta is the embedding's first P channels.
    """
    embedded = self.embedding(luminance, train, hints)
    if not self.has_decoder:
      return embedded[..., : self.num_outputs], embedded
    return self.decoder(chroma, embedded, train, hints), embedded
