"""Samples with finer levels: scores, hints, temperature, initialisation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.images import color
from pic_jax.model import hints, level_likelihood, level_net, levels, parameters
from pic_jax.sampling import conditions, sample
from tests import tiny

# Changes of the tiny model that add two finer levels.
LEVELS = dict(
  levels=2,
  level_features=5,
  level_blocks=1,
  chroma_factor=1,
  embedding_stages=((6, 2, 1, 1), (8, 2, 1, 2)),
  chroma_filter='area',
  hint_share=0.5,
  dropout_rate=0.0,
)


def prepare(count=2, height=12, width=20):
  net = tiny.net(**LEVELS)
  lab = net.split_lab(tiny.images(count, height, width))
  params = tiny.trained_like(net, lab)
  for level in (1, 2):
    for head in ('first_head', 'second_head'):
      params[f'level_{level}'][head]['g'] *= 10
  kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 3, 8))
  params['embedding']['hints'] = kernel.astype(np.float32)
  return net, params, lab, jax.random.split(jax.random.key(7), count)


def score(net, params, luminance, chroma, hint_map=None):
  return jax.jit(
    lambda params, *args: net.apply(
      {'params': params}, *args[:2], hints=args[2], method='score'
    )
  )(params, luminance, chroma, hint_map)


def draw(net, params, lab, keys, **spec):
  return jax.jit(
    lambda params, luminance: sample.draw(
      net, params, luminance, keys=keys, spec=conditions.SamplingSpec(**spec)
    )
  )(params, lab.luminance)


@pytest.mark.slow
@pytest.mark.parametrize('with_hints', [False, True])
def test_scores_of_samples_equal_their_reported_log_probs(with_hints):
  net, params, lab, keys = prepare()
  hint_map = None
  if with_hints:
    mask = np.random.default_rng(2).random(lab.chroma.shape[:3]) < 0.05
    hint_map = hints.from_mask(lab.chroma, jnp.asarray(mask))
  drawn = draw(net, params, lab, keys, samples=2, hints=hint_map)
  assert drawn.chroma.shape == (2, 2, 12, 20, 2)
  integers = color.chroma_from_network(drawn.chroma)
  np.testing.assert_allclose(integers, np.round(integers), atol=1e-4)
  for number in range(2):
    chroma = drawn.chroma[:, number]
    scores = score(net, params, lab.luminance, chroma, hint_map)
    assert [x.shape for x in scores.level_log_probs] == [
      (2, 3, 5),
      (2, 3, 5),
      (2, 6, 10),
    ]
    np.testing.assert_allclose(
      scores.on_finest_grid(hint_map), drawn.log_prob[:, number], atol=2e-3
    )
    if with_hints:
      np.testing.assert_array_equal(chroma[mask], lab.chroma[mask])
      assert not np.asarray(drawn.log_prob[:, number])[mask].any()
  assert (drawn.chroma[:, 0] != drawn.chroma[:, 1]).any()


@pytest.mark.slow
def test_coarsest_map_of_a_sample_equals_a_sample_without_finer_levels():
  net, params, lab, keys = prepare()
  whole = draw(net, params, lab, keys, samples=1).chroma[:, 0]
  coarse_net = net.clone(levels=0, chroma_factor=4)
  coarse_lab = coarse_net.split_lab(tiny.images(2, 12, 20))
  coarsest = draw(coarse_net, params, coarse_lab, keys, samples=1).chroma[:, 0]
  maps = levels.pyramid(whole, None, 2)
  np.testing.assert_array_equal(maps[0].chroma, coarsest)


@pytest.mark.slow
def test_coarse_hints_fix_only_the_coarsest_map():
  net, params, lab, keys = prepare()
  mask = np.random.default_rng(2).random(lab.chroma.shape[:3]) < 0.05
  hint_map = hints.from_mask(lab.chroma, jnp.asarray(mask))
  drawn = draw(net, params, lab, keys, hints=hint_map, coarse_hints=True)
  coarsest = levels.coarsen(levels.coarsen(drawn.chroma[:, 0]))
  coarse_hints = levels.coarsen_hints(levels.coarsen_hints(hint_map))
  is_known = np.asarray(coarse_hints[..., 2] > 0)
  assert 0 < is_known.sum() < is_known.size
  np.testing.assert_allclose(
    coarsest[is_known], coarse_hints[is_known][:, :2], atol=1e-5
  )
  assert (drawn.chroma[:, 0][mask] != lab.chroma[mask]).any()
  assert (drawn.log_prob[:, 0][mask] == 0).all()
  # The finer levels are scored as if there were no hints. A pixel without a
  # hint gets its share, even if its cell contains hints.
  variables = {'params': params}
  embedded = net.apply(
    variables, lab.luminance, hints=coarse_hints, method='embed'
  )
  scores = net.apply(
    variables,
    lab.luminance,
    drawn.chroma[:, 0],
    embedded=embedded,
    method='score',
  )
  coarsest_log_prob = jnp.zeros_like(scores.level_log_probs[0])
  expected = levels.on_finest_grid(
    [coarsest_log_prob, *scores.level_log_probs[1:]]
  )
  # Pixels without a hint whose cell of the coarsest map contains a hint.
  is_scored = ~mask & is_known.repeat(4, 1).repeat(4, 2)
  assert is_scored.any()
  np.testing.assert_allclose(
    drawn.log_prob[:, 0][is_scored], expected[is_scored], atol=2e-3
  )


@pytest.mark.slow
def test_fine_temperature_does_not_change_the_coarsest_map():
  net, params, lab, keys = prepare()
  exact = draw(net, params, lab, keys).chroma[:, 0]
  cold = draw(net, params, lab, keys, fine_temperature=0.0).chroma[:, 0]
  other = draw(net, params, lab, keys[::-1], fine_temperature=0.0)
  assert (exact != cold).any() and (cold != other.chroma[:, 0]).any()
  coarsest = [levels.pyramid(x, None, 2)[0].chroma for x in (exact, cold)]
  np.testing.assert_array_equal(*coarsest)


@pytest.mark.slow
def test_log_prob_of_a_map_does_not_depend_on_finer_maps():
  net, params, lab, _ = prepare(1)
  scores = score(net, params, lab.luminance, lab.chroma)
  # Two pixels of one cell change, but the mean of the cell does not.
  changed = lab.chroma.at[0, 4, 6].add(6 / 127.5).at[0, 5, 7].add(-6 / 127.5)
  after = score(net, params, lab.luminance, changed)
  for level in (0, 1):
    np.testing.assert_array_equal(
      scores.level_log_probs[level], after.level_log_probs[level]
    )
  assert (scores.level_log_probs[2] != after.level_log_probs[2]).any()


@pytest.mark.slow
def test_missing_levels_are_initialised_from_data():
  net, params, lab, _ = prepare(8)
  base = {name: params[name] for name in ('embedding', 'decoder')}
  actual = parameters.with_missing_networks(net, base, lab, seed=0)
  assert actual['decoder'] is base['decoder']
  assert actual.keys() == params.keys()
  embedding = net.build_embedding().apply(
    {'params': base['embedding']}, lab.luminance
  )
  maps = levels.pyramid(lab.chroma, None, 2)
  for level in (1, 2):
    apply_fn = functools.partial(
      net.build_level().apply, {'params': actual[f'level_{level}']}
    )
    coarse = maps[level - 1].chroma
    context = apply_fn(
      lab.luminance, embedding, coarse.shape[1:3], method='context'
    )
    cells = level_likelihood.prepare(levels.from_network(coarse))
    theta, _ = apply_fn(context, cells, method='first')
    theta = np.asarray(theta).reshape(-1, theta.shape[-1])
    expected = level_likelihood.initial_theta(8, 1, 0)
    np.testing.assert_allclose(theta.mean(0), expected, atol=1e-4)
    np.testing.assert_allclose(theta.std(0), level_net.HEAD_SCALE, rtol=1e-3)
