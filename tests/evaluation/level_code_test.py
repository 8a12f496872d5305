"""Coding finer levels: tables are the model's, and symbols give the map."""

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.evaluation import level_code
from pic_jax.model import levels
from tests.sampling import refinement_test


def test_tables_and_symbols_are_those_of_the_likelihood():
  net, params, lab, keys = refinement_test.prepare()
  # A sample: nothing in it is so improbable that float32 has no number for it.
  chroma = refinement_test.draw(net, params, lab, keys).chroma[:, 0]
  embedding = net.build_embedding().apply(
    {'params': params['embedding']}, lab.luminance
  )
  symbols = level_code.symbols(chroma, net.levels)
  coarsest = levels.pyramid(chroma, None, net.levels)[0].chroma
  nats = {1: 0.0, 2: 0.0}
  asked = []

  def ask(table, level, place):
    np.testing.assert_allclose(table.sum(-1), 1.0, atol=1e-5)
    chosen = jnp.asarray(symbols[level - 1][..., place])
    share = jnp.take_along_axis(table, chosen[..., None], -1)
    nats[level] += jnp.log(share).sum()
    asked.append((level, place))
    return chosen

  found = level_code.walk(
    net,
    params,
    lab.luminance,
    embedded=(embedding, []),
    canvas=coarsest,
    ask_fn=ask,
  )
  np.testing.assert_array_equal(found, chroma)
  assert asked == [(level, i) for level in (1, 2) for i in range(8)]
  scores = jax.jit(
    lambda params: net.apply(
      {'params': params}, lab.luminance, chroma, method='score'
    )
  )(params)
  for level in (1, 2):
    np.testing.assert_allclose(
      nats[level], scores.level_log_probs[level].sum(), rtol=1e-4
    )
