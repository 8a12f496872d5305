"""Probabilistic Image Colorization, the whole model p(X^ab | X^L).

Paper sec. 3.2 and 3.3, eq. (2).
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

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

# Initial standard deviation of theta. It is small, so theta is nearly constant
# over the map at the start of training.
HEAD_SCALE = 0.1
# Functions that build a head, keyed by the name of the head. With 'decoder',
# theta is the output of the decoder. With all other heads, theta is the first
# `num_outputs` channels of the embedding.
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
    luminance: [B, H, W, 1] input of the embedding network, rounded to 8 bits.
    chroma: [B, h, w, 2] on the integer grid. It is both the canvas that the
      decoder reads and the target of the likelihood by the exact rule.
    chroma_unrounded: [B, h, w, 2] target of the likelihood by the paper's rule.
    luminance_small: [B, h, w, 1] luminance on the chroma grid. The means of the
      mixture depend on it.
  """

  luminance: jax.Array
  chroma: jax.Array
  chroma_unrounded: jax.Array
  luminance_small: jax.Array


class Embedded(NamedTuple):
  """Outputs of the embedding network for a batch of images.

  Attributes:
    embedding: [B, h_0, w_0, E] float32, on the decoder's grid.
    features: feature maps of the backbone, which the finer levels read; empty
      for a model without finer levels or without a backbone.
  """

  embedding: jax.Array
  features: tuple[jax.Array, ...] = ()


class Scores(NamedTuple):
  """Log-probabilities of a chroma map, with theta and the embedding.

  Attributes:
    theta: [B, h_0, w_0, P] on the decoder's grid, which is the coarsest.
    embedding: [B, h_0, w_0, E].
    level_log_probs: log-probabilities in nats. The first array [B, h_0, w_0]
      belongs to the coarsest map. Each further array belongs to a finer level.
      It has one entry for each 2 x 2 cell of the level, so it has the grid of
      the next coarser level. Hinted values contribute 0. All entries of an
      image add up to the log-probability of its map.
  """

  theta: jax.Array
  embedding: jax.Array
  level_log_probs: tuple[jax.Array, ...]

  def on_finest_grid(self, hints: jax.Array | None = None) -> jax.Array:
    """Spreads the log-probabilities evenly over the finest pixels.

    Args:
      hints: [B, h, w, 3] hints that were given to the model, or None. Hinted
        pixels get 0.

    Returns:
      [B, h, w] nats.
    """
    return levels.on_finest_grid(self.level_log_probs, hints)


class PIC(nn.Module):
  """Embedding network and autoregressive decoder.

  The fields are exactly the fields of `config.model`. A model with a head other
  than 'decoder' has no decoder and predicts every pixel independently from the
  same embedding network. Such models are trained for comparison.

  Attributes:
    embedding_stages: rows of Table 1, see `EmbeddingNet.stages`.
    embedding_features: width E of the embedding, at least the width P of theta.
    chroma_factor: side of the image divided by the side of the (finest) chroma
      map. `chroma_factor` * 2 ** `levels` must be a multiple of the product of
      the embedding's strides. If the two are not equal, average pooling
      supplies the remaining factor. Without a backbone, the pooling is before
      the last stage. With a backbone it is before the first stage, so only the
      backbone sees the image at full resolution.
    backbone: 'efficientnet_lite0', whose features are added to the last stage,
      or 'none'.
    frozen_parts: number of the backbone's 17 parts that are not trained,
      counted from the input.
    head: 'decoder' (PIC), 'mixture' (the embedding alone, paper sec. 4.3), or a
      baseline: 'regression', 'classification', 'classification_median'.
    levels: number of finer levels, which refine the decoder's map one after
      another; see the module `levels`. Each doubles the height and the width; 0
      for none (as in the paper).
    level_features: number of channels of the networks of the finer levels.
    level_blocks: number of residual blocks in each of the two stages of such a
      network.
    chroma_filter: filter that reduces chroma and luminance to the chroma grid,
      'point' or 'area', see `color.subsample`.
    decoder_features: number of channels of the decoder.
    decoder_blocks: number of residual blocks in each of the decoder's two
      streams.
    attention_heads: number of heads of the decoder's attention to earlier
      pixels, see `causal_attention`; 0 for none (as in the paper).
    num_components: number K of logistics in a mixture.
    gated: whether residual blocks have the gating non-linearity (paper
      sec. 4.4), in all networks.
    dropout_rate: dropout rate of the residual blocks during training, in the
      embedding and the decoder.
    embedding_loss_weight: weight of the auxiliary likelihood, which takes the
      first P channels of the embedding as the parameters of a mixture; 0 for no
      auxiliary likelihood.
    hint_share: share of training images with hints, see `hints`. If it is 0,
      the model cannot read hints.
    remat: whether the backward pass recomputes each block's activations to save
      memory.
    dtype: dtype of the inputs and outputs of convolutions: 'float32',
      'bfloat16', or 'auto' for bfloat16 on TPU and GPU and float32 on CPU. Sums
      of residual blocks, the first convolutions (except the backbone's) and the
      decoder's last convolution are always float32.
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
    """Builds the head, which defines how theta is interpreted."""
    return HEADS[self.head](self.num_components)

  @property
  def has_decoder(self) -> bool:
    """Whether each pixel is predicted from the pixels before it."""
    return self.head == 'decoder'

  @property
  def has_likelihood(self) -> bool:
    """Whether theta is a mixture of logistics, so chroma has a likelihood."""
    return self.build_head().log_prob is not None

  @property
  def embedding_has_likelihood(self) -> bool:
    """Whether the embedding's first P channels were trained as a mixture."""
    return self.head == 'mixture' or self.embedding_loss_weight > 0

  @nn.nowrap
  def subsample(self, x: jax.Array) -> jax.Array:
    """Reduces maps [B, H, W, C] to the chroma grid [B, h, w, C]."""
    return color.subsample(x, self.chroma_factor, self.chroma_filter)

  @property
  def coarsest_factor(self) -> int:
    """Side of the image divided by the side of the decoder's map."""
    return self.chroma_factor << self.levels

  @nn.nowrap
  def coarsest_luminance(self, luminance: jax.Array) -> jax.Array:
    """Reduces luminance [B, H, W, 1] to the decoder's grid [B, h_0, w_0, 1]."""
    return color.subsample(luminance, self.coarsest_factor, self.chroma_filter)

  @nn.nowrap
  def coarsest(self, lab: LabBatch) -> LabBatch:
    """Reduces the chroma grid of a batch to the decoder's grid.

    Without finer levels the two grids are equal, and the batch is unchanged.
    With finer levels, `chroma_unrounded` is rounded as well, because coarse
    values are rounded means.
    """
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
  def split_lab(self, rgb: jax.Array | np.ndarray) -> LabBatch:
    """Splits images into luminance and chroma (paper sec. 3.1, 3.3).

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
      lab: the batch, as returned by `split_lab`.
      luminance: [B, H, W, 1] L in 0..100. It is rounded to 8 bits here.
    """
    luminance = color.luminance_to_network(color.eight_bit_luminance(luminance))
    return lab._replace(
      luminance=luminance, luminance_small=self.subsample(luminance)
    )

  @property
  def compute_dtype(self) -> jnp.dtype:
    """`dtype`, with 'auto' replaced by the dtype for this device."""
    if self.dtype == 'auto':
      on_cpu = jax.default_backend() == 'cpu'
      return jnp.dtype('float32' if on_cpu else 'bfloat16')
    return jnp.dtype(self.dtype)

  @nn.nowrap  # so that an unbound module can build it
  def build_embedding(
    self, returns_backbone_maps: bool = False
  ) -> embedding_net.EmbeddingNet:
    """Builds the embedding network; its parameters are `params['embedding']`.

    Args:
      returns_backbone_maps: see `EmbeddingNet`.

    Raises:
      ValueError: if `embedding_features` is smaller than the width of theta.
    """
    num_others = self.embedding_features - self.num_outputs
    if num_others < 0:
      raise ValueError(
        f'`model.embedding_features` must be at least {self.num_outputs}, the '
        f'number of outputs of `model.head={self.head}`, '
        f'got {self.embedding_features}.'
      )
    total_stride = math.prod(
      stride for _, stride, _, _ in self.embedding_stages
    )
    return embedding_net.EmbeddingNet(
      stages=tuple((*stage,) for stage in self.embedding_stages),
      features=self.embedding_features,
      reads_hints=self.hint_share > 0,
      pooling=self.coarsest_factor // total_stride,
      backbone=backbone_embedding.build(self),
      returns_backbone_maps=returns_backbone_maps,
      gated=self.gated,
      dropout_rate=self.dropout_rate,
      remat=self.remat,
      head_scale=(HEAD_SCALE,) * self.num_outputs + (1.0,) * num_others,
      head_mean=(*self.build_head().initial_theta, *(0.0,) * num_others),
      dtype=self.compute_dtype,
    )

  @nn.nowrap  # so that an unbound module can build it
  def build_decoder(self) -> causal_decoder.CausalDecoder:
    """Builds the decoder; its parameters are `params['decoder']`."""
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

  @nn.nowrap  # so that an unbound module can build it
  def build_level(self) -> level_net.LevelNet:
    """Builds the network of a finer level.

    The parameters of level i = 1, 2, ... are `params['level_i']`.
    """
    return level_net.LevelNet(
      self.level_features,
      self.level_blocks,
      gated=self.gated,
      dtype=self.compute_dtype,
    )

  def setup(self) -> None:
    self.embedding = self.build_embedding(returns_backbone_maps=self.levels > 0)
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
      hints: [B, h, w, 3] known chroma (see `hints`), or None.

    Returns:
      theta [B, h_0, w_0, P] and embedding [B, h_0, w_0, E], float32, on the
      decoder's grid. Without finer levels this is the grid of `chroma`. Without
      a decoder, theta is the first P channels of the embedding.
    """
    if self.levels:
      scores = self.score(luminance, chroma, train, hints=hints)
      return scores.theta, scores.embedding
    embedding = self.embed(luminance, train, hints=hints).embedding
    if not self.has_decoder:
      return embedding[..., : self.num_outputs], embedding
    return self.decoder(chroma, embedding, train, hints), embedding

  def embed(
    self,
    luminance: jax.Array,
    train: bool = False,
    *,
    hints: jax.Array | None = None,
  ) -> Embedded:
    """Runs the embedding network alone.

    Args:
      luminance: [B, H, W, 1] in network units.
      train: whether to apply dropout.
      hints: [B, h_0, w_0, 3] known chroma on the coarsest grid, or None.
    """
    output = self.embedding(luminance, train, hints)
    if not self.levels:
      return Embedded(output)
    embedding, features = output
    return Embedded(embedding, tuple(features))

  def score(
    self,
    luminance: jax.Array,
    chroma: jax.Array,
    train: bool = False,
    *,
    hints: jax.Array | None = None,
    embedded: Embedded | None = None,
  ) -> Scores:
    """Computes the log-probability of chroma given luminance, for every level.

    The chroma is scored by the exact rule, `logistic_mixture.log_prob`.

    Args:
      luminance: [B, H, W, 1] in network units.
      chroma: [B, h, w, 2] in network units, on the integer grid.
      train: whether to apply dropout.
      hints: [B, h, w, 3] known chroma (see `hints`), or None. The
        log-probability of hinted values is not counted.
      embedded: result of `embed` for this luminance and for these hints on the
        coarsest grid, or None to compute it here.
    """
    maps = levels.pyramid(chroma, hints, self.levels)
    coarsest, coarsest_hints = maps[0]
    if embedded is None:
      embedded = self.embed(luminance, train, hints=coarsest_hints)
    embedding, features = embedded
    theta = embedding[..., : self.num_outputs]
    if self.has_decoder:
      theta = self.decoder(coarsest, embedding, train, coarsest_hints)
    log_prob = logistic_mixture.log_prob(
      theta, self.coarsest_luminance(luminance), coarsest
    )
    if coarsest_hints is not None:
      log_prob = (1.0 - coarsest_hints[..., 2]) * log_prob
    log_probs = [log_prob]
    for level in range(1, self.levels + 1):
      net = getattr(self, f'level_{level}')
      log_probs.append(
        net(
          luminance,
          embedding,
          features,
          coarse=maps[level - 1],
          fine=maps[level],
        )
      )
    return Scores(theta, embedding, tuple(log_probs))
