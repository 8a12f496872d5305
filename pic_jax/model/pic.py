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
  efficientnet_lite0,
  embedding_net,
  heads,
  level_net,
  levels,
  logistic_mixture,
  regression_head,
)
from pic_jax.runtime import fields

# Initial gain of the heads: theta is nearly constant over the map.
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
  """Model inputs and targets of a batch of RGB images, in network units.

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


class Scores(NamedTuple):
  """Log-probabilities of a chroma map and the outputs behind them.

  Attributes:
    theta: [B, h_0, w_0, P] of the decoder, on the coarsest grid.
    embedding: [B, h_0, w_0, E].
    level_log_probs: in nats, of the coarsest map [B, h_0, w_0] and, for each
      level above it, of the 2 x 2 cells of every value below, on the grid
      below it; cells that are given have 0. They add up to that of the whole.
  """

  theta: jax.Array
  embedding: jax.Array
  level_log_probs: tuple[jax.Array, ...]

  def on_finest_grid(self, hints: jax.Array | None = None) -> jax.Array:
    """[B, h, w] log-probabilities, shared equally within every cell.

    Args:
      hints: [B, h, w, 3], whose cells get 0.
    """
    return levels.on_finest_grid(self.level_log_probs, hints)


class PIC(nn.Module):
  """Embedding network and autoregressive decoder; fields are `config.model`.

  Other heads have no decoder and treat every pixel independently: the same
  network with the losses of other methods, for comparison.

  Attributes:
    embedding_stages: rows of Table 1, see `EmbeddingNet.stages`.
    embedding_features: width E of the embedding, at least P = 8 K.
    chroma_factor: ratio of the sides of image and (finest) chroma map. Times
      2 ** `levels` it is the product of the strides, or a multiple of it, the
      rest being a mean before the last stage, or, with a backbone, before the
      first: only the backbone then sees all pixels.
    backbone: 'efficientnet_lite0', added to the last stage, or 'none'.
    frozen_parts: of its 17, the first ones that do not learn.
    head: 'decoder' (PIC), 'mixture' (the embedding alone, paper sec. 4.3), or a
      baseline: 'regression', 'classification', 'classification_median'.
    levels: how often the map that the decoder draws is refined to twice its
      sides, see `levels`; 0 for never (the paper).
    level_features: channels of the networks that refine.
    level_blocks: gated residual blocks of each of their two stages.
    chroma_filter: 'point' or 'area', see `color.subsample`; it defines the
      chroma that the model learns.
    decoder_features: channels of the decoder.
    decoder_blocks: blocks of each of its two streams.
    attention_heads: heads of the decoder's attention to earlier pixels, see
      `causal_attention`; 0 for none (the paper).
    num_components: logistics K of the mixture.
    gated: gating non-linearity (paper sec. 4.4), in both networks.
    dropout_rate: in every block, while training.
    embedding_loss_weight: weight of the auxiliary likelihood that the first P
      channels of the embedding give as a mixture of their own; 0 for none.
    hint_share: share of training images with known cells (`hints`); 0: the
      embedding reads no hints.
    remat: recompute each block's activations in the backward pass.
    dtype: of inputs and outputs of convolutions: 'float32', 'bfloat16', or
      'auto' for bfloat16 on TPU and GPU and float32 on CPU. Sums of residual
      blocks, the first convolutions and theta's head are always float32.
  """

  embedding_stages: tuple[tuple[int, int, int, int], ...] = fields.declare(
    ((32, 1, 1, 1), (64, 2, 1, 1))
  )
  embedding_features: int = fields.declare(80)
  chroma_factor: int = fields.declare(2)
  backbone: str = fields.declare('none', backbone_embedding.BACKBONES)
  frozen_parts: int = fields.declare(
    17, fields.between(0, efficientnet_lite0.NUM_PARTS)
  )
  head: str = fields.declare('decoder', HEADS)
  levels: int = fields.declare(0, fields.NOT_NEGATIVE)
  level_features: int = fields.declare(48)
  level_blocks: int = fields.declare(2)
  chroma_filter: str = fields.declare('point', color.CHROMA_FILTERS)
  decoder_features: int = fields.declare(160)
  decoder_blocks: int = fields.declare(4)
  attention_heads: int = fields.declare(0, fields.NOT_NEGATIVE)
  num_components: int = fields.declare(10)
  gated: bool = fields.declare(True)
  dropout_rate: float = fields.declare(0.5, fields.FROM_0_BELOW_1)
  embedding_loss_weight: float = fields.declare(1.0, fields.NOT_NEGATIVE)
  hint_share: float = fields.declare(0.0, fields.FROM_0_TO_1)
  remat: bool = fields.declare(False)
  dtype: str = fields.declare('auto', ('auto', 'float32', 'bfloat16'))

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

  @property
  def coarsest_factor(self) -> int:
    """Ratio of the sides of image and the map that the decoder draws."""
    return self.chroma_factor << self.levels

  @nn.nowrap
  def coarsest_luminance(self, luminance: jax.Array) -> jax.Array:
    """[B, h_0, w_0, 1] of [B, H, W, 1], on the decoder's grid."""
    return color.subsample(luminance, self.coarsest_factor, self.chroma_filter)

  @nn.nowrap
  def coarsest(self, lab: LabBatch) -> LabBatch:
    """The same images on the decoder's grid; unchanged without levels."""
    if not self.levels:
      return lab
    chroma = levels.pyramid(lab.chroma, None, self.levels)[0].chroma
    return LabBatch(
      luminance=lab.luminance,
      chroma=chroma,
      chroma_unrounded=chroma,
      luminance_small=self.coarsest_luminance(lab.luminance),
    )

  @nn.nowrap
  def split_lab(self, rgb: jax.Array) -> LabBatch:
    """Splits images into condition and target (paper sec. 3.1, 3.3).

    Args:
      rgb: [B, H, W, 3] uint8; H and W must be multiples of `chroma_factor`.
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

  @nn.nowrap
  def with_luminance(self, lab: LabBatch, luminance: jax.Array) -> LabBatch:
    """Replaces the luminance of a batch.

    Args:
      lab: see `split_lab`.
      luminance: [B, H, W, 1] L in 0..100; rounded here to 8 bits.
    """
    luminance = color.luminance_to_network(color.eight_bit_luminance(luminance))
    return lab._replace(
      luminance=luminance, luminance_small=self.subsample(luminance)
    )

  @property
  def compute_dtype(self) -> jnp.dtype:
    """Resolved `dtype`."""
    if self.dtype == 'auto':
      on_cpu = jax.default_backend() == 'cpu'
      return jnp.dtype('float32' if on_cpu else 'bfloat16')
    return jnp.dtype(self.dtype)

  @nn.nowrap  # so that an unbound module can build it, too
  def build_embedding(
    self, gives_features: bool = False
  ) -> embedding_net.EmbeddingNet:
    """The embedding network; its parameters are `params['embedding']`.

    Args:
      gives_features: see `EmbeddingNet`.
    """
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
      pooling=self.coarsest_factor // strides,
      backbone=backbone_embedding.build(self),
      gives_features=gives_features,
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

  @nn.nowrap  # so that an unbound module can build it, too
  def build_level(self) -> level_net.LevelNet:
    """Builds the network of a finer level; level i has `params['level_i']`."""
    return level_net.LevelNet(
      self.level_features,
      self.level_blocks,
      gated=self.gated,
      dtype=self.compute_dtype,
    )

  def setup(self) -> None:
    self.embedding = self.build_embedding(gives_features=self.levels > 0)
    if self.has_decoder:
      self.decoder = self.build_decoder()
    for level in range(1, self.levels + 1):
      setattr(self, f'level_{level}', self.build_level())

  def __call__(  # noqa: PLR0917  documented in docs/api.md
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
      theta [B, h, w, P] and embedding [B, h, w, E], float32; of a model with
      levels on the coarsest grid. Without a decoder theta is the embedding's
      first P channels.
    """
    if self.levels:
      scores = self.score(luminance, chroma, train, hints=hints)
      return scores.theta, scores.embedding
    embedded = self.embedding(luminance, train, hints)
    if not self.has_decoder:
      return embedded[..., : self.num_outputs], embedded
    return self.decoder(chroma, embedded, train, hints), embedded

  def score(
    self,
    luminance: jax.Array,
    chroma: jax.Array,
    train: bool = False,
    *,
    hints: jax.Array | None = None,
  ) -> Scores:
    """Log-probability of chroma given luminance, level by level (exact rule).

    Args:
      luminance: [B, H, W, 1] in network units.
      chroma: [B, h, w, 2] in network units, on the integer grid.
      train: whether to apply dropout.
      hints: [B, h, w, 3], cells of `chroma` that are given; see `hints`.
    """
    maps = levels.pyramid(chroma, hints, self.levels)
    coarse, known = maps[0]
    features = []
    embedded = self.embedding(luminance, train, known)
    if self.levels:
      embedded, features = embedded
    theta = embedded[..., : self.num_outputs]
    if self.has_decoder:
      theta = self.decoder(coarse, embedded, train, known)
    log_prob = logistic_mixture.log_prob(
      theta, self.coarsest_luminance(luminance), coarse
    )
    if known is not None:
      log_prob = (1.0 - known[..., 2]) * log_prob
    log_probs = [log_prob]
    for level in range(1, self.levels + 1):
      net = getattr(self, f'level_{level}')
      log_probs.append(
        net(
          luminance,
          embedded,
          features,
          coarse=maps[level - 1],
          fine=maps[level],
        )
      )
    return Scores(theta, embedded, tuple(log_probs))
