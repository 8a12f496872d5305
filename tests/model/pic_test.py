"""The whole model: inputs, initial parameters, and dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.images import color
from pic_jax.model import logistic_mixture, parameters
from tests import tiny


def test_split_lab_gives_integer_chroma_and_at_most_256_luminances():
  rgb = np.random.default_rng(0).integers(0, 256, (8, 60, 84, 3), np.uint8)
  for chroma_filter in color.CHROMA_FILTERS:
    batch = tiny.net(chroma_filter=chroma_filter).split_lab(rgb)
    assert len(np.unique(batch.luminance)) <= 256
    lab = np.asarray(color.chroma_from_network(batch.chroma))
    np.testing.assert_allclose(lab, lab.round(), atol=1e-4)
    unrounded = np.asarray(color.chroma_from_network(batch.chroma_unrounded))
    assert 0.4 < np.abs(lab - unrounded).max() <= 0.5 + 1e-4
    np.testing.assert_allclose(
      batch.luminance_small,
      color.subsample(batch.luminance, 2, chroma_filter),
    )
  point = tiny.net(chroma_filter='point').split_lab(rgb)
  np.testing.assert_allclose(
    color.chroma_from_network(point.chroma_unrounded),
    color.rgb_to_lab(rgb)[:, ::2, ::2, 1:],
    atol=1e-4,
  )


def test_initial_params_normalise_every_layer():
  """Outputs of all layers but the heads have mean 0 and scale `init_scale`."""
  net = tiny.net()
  batch = net.split_lab(tiny.images())
  params = parameters.initial(net, batch, seed=0)
  _, captured = jax.jit(
    lambda: net.apply(
      {'params': params},
      batch.luminance,
      batch.chroma,
      capture_intermediates=lambda module, _: hasattr(module, 'init_scale'),
      mutable=['intermediates'],
    )
  )()
  num_layers = 0
  for path, value in jax.tree.leaves_with_path(captured):
    name = jax.tree_util.keystr(path)
    value = np.asarray(value, np.float64)
    if 'head' in name or not name.endswith('[0]'):
      continue  # `CausalConv` calls its base class, so it is captured twice
    scale = 0.1 if 'second' in name else 1.0
    np.testing.assert_allclose(value.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(value.std((0, 1, 2)), scale, rtol=1e-3)
    num_layers += 1
  # The embedding has 2 stages and 2 blocks of 2 layers. The decoder has 3 input
  # layers and 4 blocks of 3 layers.
  assert num_layers == 2 + 4 + 3 + 12


def test_directions_start_with_the_published_deviation():
  """Adam would hardly turn long directions, because its steps do not grow."""
  net = tiny.net()
  batch = net.split_lab(tiny.images())
  params = parameters.initial(net, batch, seed=0)
  directions = [
    np.asarray(layer['V']).ravel()
    for layer in jax.tree.leaves(params, is_leaf=lambda x: 'V' in x)
  ]
  assert len(directions) == 23
  np.testing.assert_allclose(np.concatenate(directions).std(), 0.05, rtol=0.05)


@pytest.mark.slow
def test_initial_bits_per_dim_is_below_seven():
  net = tiny.net(num_components=10, embedding_features=80)
  batch = net.split_lab(tiny.images())
  params = parameters.initial(net, batch, seed=0)
  theta, embedding = jax.jit(net.apply)(
    {'params': params}, batch.luminance, batch.chroma
  )
  for outputs in (theta, embedding[..., :80]):
    log_prob = logistic_mixture.log_prob(
      outputs, batch.luminance_small, batch.chroma
    )
    assert logistic_mixture.bits_per_dim(log_prob).mean() < 7


@pytest.mark.slow
def test_initial_params_are_equal_only_for_equal_seeds():
  net = tiny.net()
  batch = net.split_lab(tiny.images())
  trees = [parameters.initial(net, batch, seed) for seed in (0, 0, 1)]
  first, second, other = (jax.tree.leaves(tree) for tree in trees)
  assert all((x == y).all() for x, y in zip(first, second, strict=True))
  assert any((x != y).any() for x, y in zip(first, other, strict=True))


def test_embedding_narrower_than_theta_is_refused():
  net = tiny.net(embedding_features=15)
  with pytest.raises(ValueError, match='embedding_features.*16, .*got 15'):
    net.init(
      jax.random.key(0), jnp.zeros((1, 4, 4, 1)), jnp.zeros((1, 2, 2, 2))
    )


def test_bfloat16_keeps_parameters_and_theta_in_float32():
  net = tiny.net(dtype='bfloat16')
  batch = net.split_lab(tiny.images())
  params = jax.eval_shape(lambda: parameters.initial(net, batch, seed=0))
  assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype('float32')}
  theta, embedding = jax.eval_shape(
    net.apply, {'params': params}, batch.luminance, batch.chroma
  )
  assert theta.dtype == embedding.dtype == jnp.float32
