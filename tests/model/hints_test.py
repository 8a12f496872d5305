"""Hints: reading them, drawing them in training, leaving them out of scores."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import hints, logistic_mixture, parameters
from tests import tiny


@functools.cache
def prepare():
  """Returns a model that reads hints, a batch, and initial parameters."""
  net = tiny.net(hint_share=0.5, dropout_rate=0.0)
  lab = net.split_lab(tiny.images())
  return net, lab, parameters.initial(net, lab, seed=0)


def with_random_hint_kernel(params):
  """Replaces the hint kernel of zeros with a random one, as after training."""
  kernel = params['embedding']['hints']
  random_kernel = np.random.default_rng(0).normal(0, 1, kernel.shape)
  return params | {
    'embedding': params['embedding']
    | {'hints': random_kernel.astype(np.float32)}
  }


@pytest.mark.slow
def test_hint_kernel_starts_at_zero_and_is_added_to_older_parameters():
  net, lab, params = prepare()
  assert not params['embedding']['hints'].any()
  older = {name: dict(tree) for name, tree in params.items()}
  del older['embedding']['hints']
  shapes = parameters.shapes(net, 4)
  completed = parameters.with_hint_kernel(older, shapes)
  is_equal = jax.tree.map(np.array_equal, completed, params)
  assert jax.tree.all(is_equal)
  assert parameters.with_hint_kernel(params, shapes) is params
  without_hints = tiny.net(dropout_rate=0.0)
  plain_shapes = parameters.shapes(without_hints, 4)
  assert parameters.with_hint_kernel(older, plain_shapes) is older
  for left, right in zip(
    jax.tree.leaves(parameters.initial(without_hints, lab, seed=0)),
    jax.tree.leaves(older),
    strict=True,
  ):
    np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_only_hints_read_by_a_nonzero_kernel_change_the_embedding():
  net, lab, params = prepare()
  trained = with_random_hint_kernel(params)
  no_hints = hints.from_mask(lab.chroma, jnp.zeros(lab.chroma.shape[:3], bool))
  one_hint = no_hints.at[0, 4, 6].set(jnp.array([0.5, -0.5, 1.0]))

  @jax.jit
  def embed(params, hint_map):
    return net.build_embedding().apply(
      {'params': params['embedding']}, lab.luminance, hints=hint_map
    )

  plain = embed(trained, None)
  np.testing.assert_array_equal(embed(trained, no_hints), plain)
  np.testing.assert_array_equal(embed(params, one_hint), embed(params, None))
  changed = np.abs(embed(trained, one_hint) - plain).max(-1) > 0
  # The embedding also changes above and to the left of the hint.
  assert changed[0, 2, 4] and not changed[1:].any()


@pytest.mark.slow
def test_a_model_that_cannot_read_hints_refuses_them():
  net = tiny.net()
  with pytest.raises(ValueError, match='hint_share'):
    net.build_embedding().init(
      jax.random.key(0), jnp.zeros((1, 4, 4, 1)), hints=jnp.zeros((1, 2, 2, 3))
    )


def test_drawn_hints_are_single_cells_or_patches_in_a_share_of_images():
  chroma = jax.random.normal(jax.random.key(0), (2000, 9, 11, 2))
  drawn = np.asarray(
    jax.jit(lambda key: hints.draw(key, chroma, 0.5))(jax.random.key(1))
  )
  mask = drawn[..., 2] == 1
  np.testing.assert_array_equal(drawn[..., 2], mask)
  np.testing.assert_array_equal(
    drawn[..., :2], np.where(mask[..., None], chroma, 0.0)
  )
  counts = mask.sum((1, 2))
  assert 0.45 < (counts > 0).mean() < 0.55
  positive = counts[counts > 0]
  assert positive.min() == 1 and positive.max() == hints.MAX_CELLS
  assert 3 < np.median(positive) < 8  # the distribution is log-uniform
  assert mask.any(0).all()
  # Among 6 to 12 known cells, many are neighbours if they form patches, and few
  # if they are drawn singly.
  masks = mask[(counts >= 6) & (counts <= 12)]
  num_pairs = (masks[:, :, 1:] & masks[:, :, :-1]).sum((1, 2))
  assert (num_pairs == 0).mean() > 0.15 and (num_pairs >= 4).mean() > 0.15


def test_bits_per_dim_leaves_out_known_cells():
  log_prob = -jnp.arange(1.0, 25.0).reshape(2, 3, 4)
  mask = np.zeros((2, 3, 4), bool)
  mask[0, 1] = True
  hint_map = hints.from_mask(jnp.zeros((2, 3, 4, 2)), mask)
  expected = [
    np.delete(np.asarray(log_prob[0]), 1, 0).mean(),
    log_prob[1].mean(),
  ]
  np.testing.assert_allclose(
    logistic_mixture.bits_per_dim(log_prob, hint_map),
    -np.array(expected) / np.log(2) / 2,
    rtol=1e-6,
  )
  all_known = hints.from_mask(jnp.zeros((2, 3, 4, 2)), np.ones((2, 3, 4)))
  assert (logistic_mixture.bits_per_dim(log_prob, all_known) == 0).all()
