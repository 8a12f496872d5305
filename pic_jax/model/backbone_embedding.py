"""Features of a pretrained ImageNet classifier, projected to the embedding."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.model import efficientnet_lite0, layers

# Deviation with which each of six features enters the sum.
INIT_SCALE = 0.5
# Backbones that the embedding can use beside its stages.
BACKBONES = ('none', 'efficientnet_lite0')
# Its parameters within those of `PIC`.
PATH = ('embedding', 'backbone', 'efficientnet_lite0')


def params_of(params: dict) -> dict:
  """The parameters of the backbone within those of `PIC`."""
  return functools.reduce(dict.__getitem__, PATH, params)


def is_frozen(path: tuple[str, ...], num_frozen: int) -> bool:
  """Whether a parameter of `PIC` belongs to the first parts of the backbone."""
  return path[:3] == PATH and efficientnet_lite0.is_frozen(path[3], num_frozen)


def to_grid(x: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Resizes maps [B, H, W, C] smoothly to rows and columns."""
  if x.shape[1:3] == shape:
    return x
  return jax.image.resize(x, (len(x), *shape, x.shape[-1]), 'linear')


class BackboneEmbedding(nn.Module):
  """Sum of projections of all features of EfficientNet-Lite0.

  Attributes:
    features: number of output channels.
    num_frozen: parts of the backbone that do not learn.
    dtype: of the backbone and the projections; the sum is float32.
  """

  features: int
  num_frozen: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, luminance: jax.Array, shape: tuple[int, int]
  ) -> tuple[jax.Array, list[jax.Array]]:
    """Maps luminance [B, H, W, 1] to float32 [B, h, w, features].

    Args:
      luminance: in network units, of any size.
      shape: h, w of the chroma grid.

    Returns:
      The sum, and the backbone's features themselves, from fine to coarse; see
      `efficientnet_lite0`.
    """
    backbone = efficientnet_lite0.EfficientNetLite0(
      self.num_frozen, self.dtype, name='efficientnet_lite0'
    )
    total = 0.0
    features = backbone(luminance)
    for index, x in enumerate(features):
      x = x.astype(jnp.float32)
      is_finer = x.shape[1] > shape[0]
      x = to_grid(x, shape) if is_finer else x
      project = layers.WeightNormConv(
        self.features,
        init_scale=INIT_SCALE,
        dtype=self.dtype,
        name=f'project_{index}',
      )
      # Coarse features have the most channels: project before enlarging.
      total = total + to_grid(project(x).astype(jnp.float32), shape)
    return total, features


def build(model: nn.Module) -> BackboneEmbedding | None:
  """Builds the backbone that a `PIC` names, as wide as the last stage."""
  if model.backbone == 'none':
    return None
  width = model.embedding_stages[-1][0]
  return BackboneEmbedding(width, model.frozen_parts, model.compute_dtype)
