"""Backbone of the embedding: initial weights, frozen parts, and pooling."""

import functools

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.images import color
from pic_jax.model import (
  backbone_embedding,
  embedding_net,
  layers,
  parameters,
)
from pic_jax.saved import config_check, run_config
from pic_jax.training import optimizers
from tests import tiny

NUM_FROZEN = 16  # of 17 parts; only the head is trained


def config():
  result = tiny.config('smoke')
  with result.unlocked():
    result.model.update(tiny.MODEL)
    result.model.update(
      backbone='efficientnet_lite0',
      frozen_parts=NUM_FROZEN,
      chroma_factor=4,
      dropout_rate=0.0,
    )
    result.training.backbone_weights = 'weights.safetensors'
  return result


@functools.cache
def initialized():
  """Initialises a model; its backbone gets random weights, as if pretrained.

  Returns:
    The model, the weights of the backbone, a batch, and all parameters.
  """
  net = run_config.build_model(config())
  shapes = backbone_embedding.params_of(parameters.shapes(net, 4))
  rng = np.random.default_rng(0)

  def draw(leaf):
    deviation = np.prod(leaf.shape[:-1]) ** -0.5
    return rng.normal(0, deviation, leaf.shape).astype(np.float32)

  backbone = jax.tree.map(draw, shapes)
  lab = net.split_lab(tiny.images(8, 40, 24))
  params = parameters.initial(net, lab, 0, backbone=backbone)
  return net, backbone, lab, params


@pytest.mark.slow
def test_initial_parameters_contain_the_given_backbone_weights():
  _, backbone, _, params = initialized()
  is_equal = jax.tree.map(
    np.array_equal, backbone_embedding.params_of(params), backbone
  )
  assert jax.tree.all(is_equal)


@pytest.mark.slow
def test_frozen_parts_have_neither_updates_nor_moments():
  _, backbone, _, params = initialized()
  config_check.check(config())
  optimizer = optimizers.make_optimizer(config())
  opt_state = jax.jit(optimizer.init)(params)
  state_shapes = {x.shape for x in jax.tree.leaves(opt_state)}
  assert backbone['head']['kernel'].shape in state_shapes
  assert backbone['block_15_expand']['kernel'].shape not in state_shapes
  # The gradients of frozen parts are 0, as those of `EfficientNetLite0` are.
  grads = flax.traverse_util.path_aware_map(
    lambda path, x: np.full_like(
      x, not backbone_embedding.is_frozen(path, NUM_FROZEN)
    ),
    params,
  )
  updates, _ = jax.jit(optimizer.update)(grads, opt_state, params)
  updated = {
    path
    for path, update in flax.traverse_util.flatten_dict(updates).items()
    if np.any(update)
  }
  frozen = set(flax.traverse_util.flatten_dict(params)) - updated
  assert {path[3] for path in frozen} == set(backbone) - {'head'}
  assert {path[:3] for path in frozen} == {backbone_embedding.PATH}


@pytest.mark.slow
def test_feature_maps_of_all_strides_are_projected_with_equal_deviation():
  net, _, lab, params = initialized()
  embedding, captured = jax.jit(
    lambda: net.build_embedding().apply(
      {'params': params['embedding']},
      lab.luminance,
      capture_intermediates=lambda module, _: (module.name or '').startswith(
        'project'
      ),
      mutable=['intermediates'],
    )
  )()
  assert embedding.shape[:3] == (8, 10, 6)
  projected = jax.tree.leaves(captured)
  sizes = {x.shape[1:3] for x in projected}
  assert sizes == {(10, 6), (5, 3), (3, 2), (2, 1)}
  assert len(projected) == 6
  for x in projected:
    np.testing.assert_allclose(np.std(x, (0, 1, 2)), 0.5, rtol=1e-2)


def test_without_backbone_the_input_of_the_last_stage_is_pooled():
  net = embedding_net.EmbeddingNet(((3, 2, 0, 1), (4, 1, 0, 1)), 5, pooling=2)
  x = jax.random.normal(jax.random.key(0), (2, 20, 12, 1))
  params = jax.jit(net.init)(jax.random.key(1), x)['params']

  def conv(params, x, name, stride=1):
    module = layers.WeightNormConv(
      params[name]['g'].size, (3, 3), stride=stride
    )
    return module.apply({'params': params[name]}, x)

  @jax.jit
  def actual_and_expected(params):
    y = jnp.concatenate([x, jnp.ones_like(x)], -1)
    y = color.subsample(conv(params, y, 'stage_0', 2), 2, 'area')
    expected = conv(params, conv(params, y, 'stage_1'), 'head')
    return net.apply({'params': params}, x), expected

  actual, expected = actual_and_expected(params)
  assert actual.shape == (2, 5, 3, 5)
  np.testing.assert_allclose(actual, expected, atol=1e-5)


class MeanBackbone(nn.Module):
  """Backbone that returns the mean luminance plus the height of the image."""

  def __call__(self, luminance, shape):
    mean = luminance.mean((1, 2), keepdims=True)
    height = jnp.full((1, *shape, 1), luminance.shape[1], jnp.float32)
    return jnp.broadcast_to(mean, (len(luminance), *shape, 1)) + height, []


def test_with_backbone_only_the_stages_read_a_pooled_image():
  """The stages compute the same as for an image of half the size."""
  stages = ((3, 2, 0, 1), (4, 1, 1, 1))
  x = jax.random.normal(jax.random.key(0), (2, 20, 12, 1))
  net = embedding_net.EmbeddingNet(
    stages, 5, pooling=2, backbone=MeanBackbone()
  )
  params = jax.jit(net.init)(jax.random.key(1), x)['params']
  small = color.subsample(x, 2, 'area')

  class MeanOfWholeImage(MeanBackbone):
    """Backbone that reads the whole image instead of its half-size input."""

    def __call__(self, luminance, shape):
      assert luminance.shape == small.shape
      return MeanBackbone.__call__(self, x, shape)

  half_size_net = embedding_net.EmbeddingNet(
    stages, 5, backbone=MeanOfWholeImage()
  )
  actual = jax.jit(net.apply)({'params': params}, x)
  assert actual.shape == (2, 5, 3, 5)
  expected = jax.jit(half_size_net.apply)({'params': params}, small)
  np.testing.assert_allclose(actual, expected, atol=1e-5)
