"""Given cells: how they are read, drawn in training, and left out of scores."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import hints, logistic_mixture, parameters
from tests import tiny


@functools.cache
def prepare():
  """A model that reads hints, a batch, and initial parameters."""
  net = tiny.net(hint_share=0.5, dropout_rate=0.0)
  lab = net.split_lab(tiny.images())
  return net, lab, parameters.initial(net, lab, seed=0)


def aware(params):
  """Parameters that use hints, as after training; initial ones do not."""
  kernel = params['embedding']['hints']
  drawn = np.random.default_rng(0).normal(0, 1, kernel.shape)
  return params | {
    'embedding': params['embedding'] | {'hints': drawn.astype(np.float32)}
  }


@pytest.mark.slow
def test_hints_start_at_zero_and_older_parameters_are_completed():
  net, lab, params = prepare()
  assert not params['embedding']['hints'].any()
  older = {name: dict(tree) for name, tree in params.items()}
  del older['embedding']['hints']
  shapes = parameters.shapes(net, 4)
  again = parameters.with_hint_kernel(older, shapes)
  same = jax.tree.map(np.array_equal, again, params)
  assert jax.tree.all(same)
  assert parameters.with_hint_kernel(params, shapes) is params
  plain = tiny.net(dropout_rate=0.0)
  assert (
    parameters.with_hint_kernel(older, parameters.shapes(plain, 4)) is older
  )
  for left, right in zip(
    jax.tree.leaves(parameters.initial(plain, lab, seed=0)),
    jax.tree.leaves(older),
    strict=True,
  ):
    np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_no_hints_and_an_empty_mask_are_the_plain_path():
  net, lab, params = prepare()
  trained = aware(params)
  nothing = hints.from_mask(lab.chroma, jnp.zeros(lab.chroma.shape[:3], bool))
  one = nothing.at[0, 4, 6].set(jnp.array([0.5, -0.5, 1.0]))

  @jax.jit
  def embed(params, given):
    return net.build_embedding().apply(
      {'params': params['embedding']}, lab.luminance, hints=given
    )

  plain = embed(trained, None)
  np.testing.assert_array_equal(embed(trained, nothing), plain)
  np.testing.assert_array_equal(embed(params, one), embed(params, None))
  changed = np.abs(embed(trained, one) - plain).max(-1) > 0
  assert changed[0, 2, 4] and not changed[1:].any()  # before it, too


@pytest.mark.slow
def test_a_model_that_reads_no_hints_refuses_them():
  net = tiny.net()
  with pytest.raises(ValueError, match='hint_share'):
    net.build_embedding().init(
      jax.random.key(0), jnp.zeros((1, 4, 4, 1)), hints=jnp.zeros((1, 2, 2, 3))
    )


def test_training_gives_hints_to_a_share_of_images_alone_and_in_patches():
  chroma = jax.random.normal(jax.random.key(0), (2000, 9, 11, 2))
  given = np.asarray(
    jax.jit(lambda key: hints.draw(key, chroma, 0.5))(jax.random.key(1))
  )
  mask = given[..., 2] == 1
  np.testing.assert_array_equal(given[..., 2], mask)
  np.testing.assert_array_equal(
    given[..., :2], np.where(mask[..., None], chroma, 0.0)
  )
  counts = mask.sum((1, 2))
  assert 0.45 < (counts > 0).mean() < 0.55
  some = counts[counts > 0]
  assert some.min() == 1 and some.max() == hints.MAX_CELLS
  assert 3 < np.median(some) < 8  # evenly over orders of magnitude
  assert mask.any(0).all()
  # Of 6 to 12 cells, most touch another if in patches, few if drawn alone.
  few = mask[(counts >= 6) & (counts <= 12)]
  beside = (few[:, :, 1:] & few[:, :, :-1]).sum((1, 2))
  assert (beside == 0).mean() > 0.15 and (beside >= 4).mean() > 0.15


def test_given_cells_count_in_no_likelihood():
  log_prob = -jnp.arange(1.0, 25.0).reshape(2, 3, 4)
  mask = np.zeros((2, 3, 4), bool)
  mask[0, 1] = True
  given = hints.from_mask(jnp.zeros((2, 3, 4, 2)), mask)
  expected = [
    np.delete(np.asarray(log_prob[0]), 1, 0).mean(),
    log_prob[1].mean(),
  ]
  np.testing.assert_allclose(
    logistic_mixture.bits_per_dim(log_prob, given),
    -np.array(expected) / np.log(2) / 2,
    rtol=1e-6,
  )
  everything = hints.from_mask(jnp.zeros((2, 3, 4, 2)), np.ones((2, 3, 4)))
  assert (logistic_mixture.bits_per_dim(log_prob, everything) == 0).all()
