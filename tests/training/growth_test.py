"""Growth keeps the outputs of a model, and its new parameters can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pic_jax.model import parameters, pic
from pic_jax.runtime import errors
from pic_jax.saved import parameter_check
from pic_jax.training import growth
from tests import tiny

WIDER = {
  'embedding_stages': ((7, 1, 1, 1), (11, 2, 1, 2)),
  'embedding_features': 29,
  'decoder_features': 9,
}
# Fields of the small model, changed fields of the large model, and number of
# steps after which all parameters have gradients.
CASES = {
  'deeper': (
    {},
    {
      'embedding_stages': ((6, 1, 2, 1), (8, 2, 3, 2)),
      'decoder_blocks': 3,
    },
    1,
  ),
  'wider': ({'gated': False, 'hint_share': 0.5}, WIDER, 1),
  'attention': ({}, {'attention_heads': 2}, 1),
  # Only other new parameters read the new channels of new blocks, so gradients
  # reach these channels one step later.
  'all': (
    {'attention_heads': 1},
    WIDER
    | {
      'attention_heads': 3,
      'decoder_blocks': 3,
      'embedding_stages': ((7, 1, 3, 1), (11, 2, 2, 2)),
    },
    2,
  ),
}


def _random_params(model: pic.PIC) -> dict:
  """Draws all parameters, as if training had changed all of them."""
  rng = np.random.default_rng(3)
  return jax.tree.map(
    lambda leaf: rng.normal(0.0, 0.3, leaf.shape).astype(np.float32),
    parameters.shapes(model, 10),
  )


def _apply_fn(model: pic.PIC, batch: pic.LabBatch):
  hints = None
  if model.hint_share:
    hints = jnp.concatenate([batch.chroma, batch.chroma[..., :1] > 0], -1)
  return jax.jit(
    lambda params: model.apply(
      {'params': params}, batch.luminance, batch.chroma, hints=hints
    )
  )


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_grown_models_keep_outputs_and_all_parameters_get_gradients(case):
  fields, changes, num_steps = CASES[case]
  small, large = tiny.net(**fields), tiny.net(**fields | changes)
  batch = small.split_lab(tiny.images())
  params = _random_params(small)
  grown = growth.grow(params, small, large)
  parameter_check.check_fit(grown, parameters.shapes(large, 10), case)

  theta, embedding = _apply_fn(small, batch)(params)
  apply_fn = _apply_fn(large, batch)
  new_theta, new_embedding = apply_fn(grown)
  assert theta.std() > 0.1
  np.testing.assert_allclose(new_theta, theta, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(
    new_embedding[..., : embedding.shape[-1]], embedding, rtol=1e-5, atol=1e-5
  )

  @jax.jit
  def gradient_fn(params):
    def loss(params):
      theta, embedding = apply_fn(params)
      return jnp.mean(theta**2) + jnp.mean(embedding[..., :16] ** 2)

    return jax.grad(loss)(params)

  optimizer = optax.adam(1e-3)
  state = optimizer.init(grown)
  for _ in range(num_steps):
    updates, state = optimizer.update(gradient_fn(grown), state)
    grown = optax.apply_updates(grown, updates)
  without_gradient = {
    jax.tree_util.keystr(path, simple=True, separator='/')
    for path, x in jax.tree.leaves_with_path(gradient_fn(grown))
    if (x == 0.0).any()
  }
  # The bias of the keys adds the same number to all logits of a query, which a
  # softmax ignores.
  assert without_gradient <= {'decoder/attention/queries_and_keys/b'}


def test_growth_to_an_equal_model_changes_nothing():
  model = tiny.net(attention_heads=2)
  params = _random_params(model)
  grown = growth.grow(params, model, model)
  assert jax.tree.structure(grown) == jax.tree.structure(params)
  for new, old in zip(
    jax.tree.leaves(grown), jax.tree.leaves(params), strict=True
  ):
    assert np.array_equal(new, old)


@pytest.mark.parametrize(
  'change, message',
  [
    ({'decoder_features': 5}, '`model.decoder_features` must be at least'),
    ({'decoder_blocks': 1}, '`model.decoder_blocks` must be at least'),
    ({'embedding_features': 20}, 'embedding_features` .* 24, .* got 20'),
    ({'num_components': 3}, 'outputs of the decoder .* 16, .* got 24'),
    ({'gated': False}, '`model.gated` must'),
    ({'embedding_stages': ((6, 1, 1, 1),)}, 'embedding_stages` must'),
    (
      {'embedding_stages': ((6, 2, 1, 1), (8, 1, 1, 2))},
      r'stride and dilation of `model.embedding_stages\[0\]`',
    ),
    (
      {'embedding_stages': ((6, 1, 1, 1), (7, 2, 1, 2))},
      r'width of `model.embedding_stages\[1\]`',
    ),
  ],
)
def test_growth_that_is_impossible_is_refused_with_a_reason(change, message):
  small = tiny.net()
  params = _random_params(small)
  with pytest.raises(errors.RunError, match=message):
    growth.grow(params, small, tiny.net(**change))
