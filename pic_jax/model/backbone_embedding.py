"""Features of a pretrained ImageNet classifier for the embedding network."""

import functools
import operator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.model import efficientnet_lite0, layers

# Initial standard deviation of each of the six projections that are added.
INIT_SCALE = 0.5
# Values of `config.model.backbone`.
BACKBONES = ('none', 'efficientnet_lite0')
# Path of the backbone's parameters in the parameter tree of `PIC`.
PATH = ('embedding', 'backbone', 'efficientnet_lite0')


def params_of(params: dict) -> dict:
  """Returns the backbone's part of the parameter tree of `PIC`."""
  return functools.reduce(dict.__getitem__, PATH, params)


def is_frozen(path: tuple[str, ...], num_frozen: int) -> bool:
  """Whether a parameter of `PIC` is not trained.

  Args:
    path: keys of the parameter in the parameter tree of `PIC`.
    num_frozen: number of the backbone's parts that are not trained, counted
      from the input.
  """
  return path[:3] == PATH and efficientnet_lite0.is_frozen(path[3], num_frozen)


def to_grid(x: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Resizes maps [B, H, W, C] to a shape (rows, columns), linearly."""
  if x.shape[1:3] == shape:
    return x
  return jax.image.resize(x, (len(x), *shape, x.shape[-1]), 'linear')


class BackboneEmbedding(nn.Module):
  """Sum of projections of all feature maps of EfficientNet-Lite0.

  Attributes:
    features: number of output channels.
    num_frozen: number of the backbone's parts that are not trained, counted
      from the input.
    dtype: dtype of the backbone and the projections; the sum is float32.
  """

  features: int
  num_frozen: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, luminance: jax.Array, shape: tuple[int, int]
  ) -> tuple[jax.Array, list[jax.Array]]:
    """Computes the sum of the projections, and the feature maps.

    Args:
      luminance: [B, H, W, 1] in network units.
      shape: (h, w) of the output.

    Returns:
      The sum [B, h, w, features] float32, and the feature maps of the backbone
      from fine to coarse, see `EfficientNetLite0`.
    """
    backbone = efficientnet_lite0.EfficientNetLite0(
      self.num_frozen, self.dtype, name='efficientnet_lite0'
    )
    projected = []
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
      # Coarse feature maps have many channels, so they are enlarged only after
      # the projection.
      projected.append(to_grid(project(x).astype(jnp.float32), shape))
    return functools.reduce(operator.add, projected), features


def build(model: nn.Module) -> BackboneEmbedding | None:
  """Builds the backbone of a `PIC`, or returns None if it has none.

  The output has as many channels as the embedding's last stage.
  """
  if model.backbone == 'none':
    return None
  width = model.embedding_stages[-1][0]
  return BackboneEmbedding(width, model.frozen_parts, model.compute_dtype)
