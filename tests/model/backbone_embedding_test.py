"""A backbone beside the stages: its first weights, and the parts that learn."""

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

FROZEN = 16  # of 17 parts: the head learns


def config():
  result = tiny.config('smoke')
  with result.unlocked():
    result.model.update(tiny.MODEL)
    result.model.update(
      backbone='efficientnet_lite0',
      frozen_parts=FROZEN,
      chroma_factor=4,
      dropout_rate=0.0,
    )
    result.training.backbone_weights = 'weights.safetensors'
  return result


@functools.cache
def started():
  """The network, and parameters whose backbone was given, not drawn."""
  net = run_config.build_model(config())
  shapes = backbone_embedding.params_of(parameters.shapes(net, 4))
  rng = np.random.default_rng(0)

  def draw(leaf):
    deviation = np.prod(leaf.shape[:-1]) ** -0.5
    return rng.normal(0, deviation, leaf.shape).astype(np.float32)

  given = jax.tree.map(draw, shapes)
  lab = net.split_lab(tiny.images(8, 40, 24))
  return net, given, lab, parameters.initial(net, lab, 0, backbone=given)


@pytest.mark.slow
def test_a_backbone_starts_from_its_weights_alone():
  _, given, _, params = started()
  same = jax.tree.map(
    np.array_equal, backbone_embedding.params_of(params), given
  )
  assert jax.tree.all(same)


@pytest.mark.slow
def test_what_is_frozen_has_neither_updates_nor_moments():
  _, given, _, params = started()
  config_check.check(config())
  optimizer = optimizers.make_optimizer(config())
  opt_state = jax.jit(optimizer.init)(params)
  moments = {x.shape for x in jax.tree.leaves(opt_state)}
  assert given['head']['kernel'].shape in moments
  assert given['block_15_expand']['kernel'].shape not in moments
  # Gradients of 0 for frozen parts, as `EfficientNetLite0` gives them.
  grads = flax.traverse_util.path_aware_map(
    lambda path, x: np.full_like(
      x, not backbone_embedding.is_frozen(path, FROZEN)
    ),
    params,
  )
  updates, _ = jax.jit(optimizer.update)(grads, opt_state, params)
  moved = {
    path
    for path, update in flax.traverse_util.flatten_dict(updates).items()
    if np.any(update)
  }
  frozen = set(flax.traverse_util.flatten_dict(params)) - moved
  assert {path[3] for path in frozen} == set(given) - {'head'}
  assert {path[:3] for path in frozen} == {backbone_embedding.PATH}


@pytest.mark.slow
def test_features_of_every_stride_reach_the_whole_chroma_grid():
  """Each with the deviation that it should start with."""
  net, _, lab, params = started()
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


def test_pooling_gives_the_last_stage_means():
  net = embedding_net.EmbeddingNet(((3, 2, 0, 1), (4, 1, 0, 1)), 5, pooling=2)
  x = jax.random.normal(jax.random.key(0), (2, 20, 12, 1))
  params = jax.jit(net.init)(jax.random.key(1), x)['params']

  def conv(params, x, name, stride=1):
    module = layers.WeightNormConv(
      params[name]['g'].size, (3, 3), stride=stride
    )
    return module.apply({'params': params[name]}, x)

  @jax.jit
  def both(params):
    y = jnp.concatenate([x, jnp.ones_like(x)], -1)
    y = color.subsample(conv(params, y, 'stage_0', 2), 2, 'area')
    expected = conv(params, conv(params, y, 'stage_1'), 'head')
    return net.apply({'params': params}, x), expected

  actual, expected = both(params)
  assert actual.shape == (2, 5, 3, 5)
  np.testing.assert_allclose(actual, expected, atol=1e-5)


class Flat(nn.Module):
  """A backbone that gives the mean of what it sees."""

  def __call__(self, luminance, shape):
    mean = luminance.mean((1, 2), keepdims=True)
    seen = jnp.full((1, *shape, 1), luminance.shape[1], jnp.float32)
    return jnp.broadcast_to(mean, (len(luminance), *shape, 1)) + seen, []


def test_a_backbone_sees_all_pixels_and_the_stages_do_not():
  """The stages see what they would see of a picture of half the size."""
  stages = ((3, 2, 0, 1), (4, 1, 1, 1))
  x = jax.random.normal(jax.random.key(0), (2, 20, 12, 1))
  net = embedding_net.EmbeddingNet(stages, 5, pooling=2, backbone=Flat())
  params = jax.jit(net.init)(jax.random.key(1), x)['params']
  small = color.subsample(x, 2, 'area')

  class FlatAsOfAll(Flat):
    def __call__(self, luminance, shape):
      assert luminance.shape == small.shape
      return Flat.__call__(self, x, shape)

  half = embedding_net.EmbeddingNet(stages, 5, backbone=FlatAsOfAll())
  found = jax.jit(net.apply)({'params': params}, x)
  assert found.shape == (2, 5, 3, 5)
  expected = jax.jit(half.apply)({'params': params}, small)
  np.testing.assert_allclose(found, expected, atol=1e-5)
