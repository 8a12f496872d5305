"""Finer levels: exact probabilities, causality, and samples that match them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import hints as hint_maps
from pic_jax.model import (
  level_likelihood,
  level_net,
  level_sampling,
  levels,
  logistic_mixture,
)

NUM_VALUES = 5  # number R of values; see the module `levels`
COARSE_SHAPE = (3, 4)


def thetas(seed, shape=(), log_scale=-4.0):
  """Draws outputs of both stages; the mixtures spread over a few integers."""
  rng = np.random.default_rng(seed)
  first = rng.normal(0, 1, (*shape, level_likelihood.FIRST_OUTPUTS)).astype(
    np.float32
  )
  second = rng.normal(0, 1, (*shape, level_likelihood.SECOND_OUTPUTS))
  second = second.astype(np.float32)
  k = level_likelihood.NUM_COMPONENTS
  # Indices of the first output of each mixture.
  for theta, starts in ((first, (8,)), (second, (0, 6 * k, 12 * k))):
    for start in starts:
      theta[..., start + k : start + 3 * k] *= 0.02  # means
      theta[..., start + 3 * k : start + 5 * k] += log_scale
  return level_likelihood.Stages(jnp.asarray(first), jnp.asarray(second))


def cells_of(coarse, smooth, has_hint=False):
  """Builds n cells from coarse values [n, 2] and first guesses [4, 2]."""
  count = len(coarse)
  return level_likelihood.Cells(
    jnp.asarray(coarse, jnp.float32),
    jnp.broadcast_to(jnp.asarray(smooth, jnp.float32), (count, 4, 2)),
    jnp.full((count, 1), has_hint),
  )


def repeated(stages, count):
  """Repeats the outputs for one cell for `count` cells."""
  return level_likelihood.Stages(
    *(jnp.broadcast_to(x, (count, x.shape[-1])) for x in stages)
  )


def total_probability(log_prob):
  return float(jnp.exp(jax.nn.logsumexp(log_prob)))


@pytest.mark.parametrize('coarse', [(0, 0), (0, 4), (2, 2), (4, 4), (1, 3)])
@pytest.mark.parametrize('log_scale', [-5.5, -2.0])
def test_probabilities_of_the_fine_values_of_a_cell_sum_to_1(coarse, log_scale):
  # All cells of one channel, of which those with the coarse value are kept.
  every = np.array(
    list(itertools.product(range(NUM_VALUES), repeat=4)), np.float32
  )
  means = np.asarray(levels.rounded_mean(jnp.asarray(every)[..., None]))[:, 0]
  a, b = (every[means == x] for x in coarse)
  fine = np.stack(np.broadcast_arrays(a[:, None], b[None]), -1)
  fine = fine.reshape(-1, 4, 2)
  smooth = np.random.default_rng(1).uniform(0, NUM_VALUES - 1, (4, 2))
  cells = cells_of([coarse] * len(fine), smooth)
  stages = repeated(thetas(0, log_scale=log_scale), len(fine))
  log_prob = level_likelihood.log_prob(
    stages, cells, jnp.asarray(fine), known=None, num_values=NUM_VALUES
  )
  assert total_probability(log_prob) == pytest.approx(1.0, abs=2e-6)


@pytest.mark.slow
def test_with_hints_probabilities_of_the_other_values_sum_to_1():
  # x0 and x2 are known; a and b of x1 and x3 vary.
  known = np.array([[1, 0, 1, 0]], np.float32)
  fine = []
  for a1, b1, a3, b3 in itertools.product(range(NUM_VALUES), repeat=4):
    fine.append([(3, 1), (a1, b1), (0, 4), (a3, b3)])
  fine = np.array(fine, np.float32)
  cells = cells_of([(2, 2)] * len(fine), np.full((4, 2), 2.0), has_hint=True)
  log_prob = level_likelihood.log_prob(
    repeated(thetas(3), len(fine)),
    cells,
    jnp.asarray(fine),
    known=jnp.broadcast_to(jnp.asarray(known), (len(fine), 4)),
    num_values=NUM_VALUES,
  )
  assert total_probability(log_prob) == pytest.approx(1.0, abs=2e-6)


@pytest.mark.parametrize(
  'values', [range(NUM_VALUES), (0, 1, 2, 253, 254, 255)]
)
def test_mean_offset_and_three_values_determine_the_fourth(values):
  fine = np.array(list(itertools.product(values, repeat=4)), np.float32)
  fine = jnp.asarray(np.stack([fine, fine[::-1]], -1))
  coarse = levels.rounded_mean(fine)
  assert float(coarse.min()) >= 0 and float(coarse.max()) <= max(values)
  cells = level_likelihood.Cells(
    coarse, fine * 0, jnp.zeros((len(fine), 1), bool)
  )
  offset = level_likelihood.offsets(cells, fine)
  assert set(np.unique(offset)) <= {0, 1, 2, 3}
  *_, interval_3_fn = level_likelihood.second_intervals(
    jnp.zeros((len(fine), level_likelihood.SECOND_OUTPUTS)),
    cells,
    offset,
    x0=fine[:, 0],
  )
  last = interval_3_fn(fine[:, 1], fine[:, 2])
  np.testing.assert_array_equal(last.low, fine[:, 3])
  np.testing.assert_array_equal(last.high, fine[:, 3])


def maps(seed, with_hints=False, shape=COARSE_SHAPE):
  """Draws a fine map; returns the coarse and the fine `LevelMap`."""
  rng = np.random.default_rng(seed)
  fine = rng.integers(0, 256, (2, 2 * shape[0], 2 * shape[1], 2))
  fine[1] = np.clip(fine[1], 250, 255)  # near the largest value
  fine = levels.to_network(jnp.asarray(fine, jnp.float32))
  hints = None
  if with_hints:
    mask = jnp.asarray(rng.random(fine.shape[:3]) < 0.15)
    hints = hint_maps.from_mask(fine, mask)
  return levels.pyramid(fine, hints, 1)


def net_and_params(seed=0, features=6):
  net = level_net.LevelNet(features, 1)
  coarse, fine = maps(seed)
  height, width = (4 * side for side in fine.chroma.shape[1:3])
  rng = np.random.default_rng(seed)
  luminance = jnp.asarray(
    rng.uniform(-1, 1, (2, height, width, 1)), jnp.float32
  )
  embedding = jnp.asarray(rng.normal(0, 1, (2, *COARSE_SHAPE, 5)), jnp.float32)
  inputs = luminance, embedding, ()
  params = net.init(jax.random.key(seed), *inputs, coarse=coarse, fine=fine)[
    'params'
  ]
  params['first_head']['g'] *= 10
  params['second_head']['g'] *= 10
  context = net.apply(
    {'params': params}, luminance, embedding, COARSE_SHAPE, method='context'
  )
  return net, params, context


@pytest.mark.slow
@pytest.mark.parametrize('with_hints', [False, True])
def test_samples_keep_means_and_hints_and_report_their_log_prob(with_hints):
  net, params, context = net_and_params()
  coarse, fine = maps(1, with_hints)
  noise = jnp.stack(
    [level_sampling.noise(jax.random.key(i), *COARSE_SHAPE) for i in range(2)]
  )
  drawn, log_prob = jax.jit(
    lambda: net.apply(
      {'params': params},
      context,
      coarse.chroma,
      noise,
      hints=fine.hints,
      method='sample',
    )
  )()
  values = levels.from_network(drawn)
  np.testing.assert_array_equal(values, np.round(values))
  assert float(values.min()) >= 0 and float(values.max()) <= 255
  has_hint = np.zeros((2, *COARSE_SHAPE), bool)
  if with_hints:
    known = np.asarray(fine.hints[..., 2]) > 0
    np.testing.assert_array_equal(drawn[known], fine.chroma[known])
    has_hint = np.asarray(coarse.hints[..., 2]) > 0
    assert has_hint.any() and not has_hint.all()
  means = levels.coarsen(drawn)
  np.testing.assert_array_equal(means[~has_hint], coarse.chroma[~has_hint])
  rescored = net.apply(
    {'params': params},
    context,
    coarse,
    levels.LevelMap(drawn, fine.hints),
    method='log_prob',
  )
  np.testing.assert_allclose(rescored, log_prob, rtol=1e-5, atol=1e-4)
  other, _ = net.apply(
    {'params': params},
    context,
    coarse.chroma,
    noise[::-1],
    hints=fine.hints,
    method='sample',
  )
  assert (other != drawn).any()


@pytest.mark.slow
def test_sample_frequencies_match_probabilities():
  count = 40_000
  stages = repeated(thetas(5, log_scale=-6.5), count)
  cells = cells_of([(254, 3)] * count, np.array([[254, 3]] * 4))
  noise = level_sampling.noise(jax.random.key(0), 1, count)[0]
  drawn = level_sampling.sample_first(stages.first, cells, noise)
  fine = level_sampling.sample_second(stages, cells, drawn, noise=noise)
  drawn_cells, counts = np.unique(np.asarray(fine), axis=0, return_counts=True)
  is_frequent = counts > 60
  num_frequent = int(is_frequent.sum())
  assert num_frequent > 10
  expected = np.exp(
    level_likelihood.log_prob(
      repeated(thetas(5, log_scale=-6.5), num_frequent),
      cells_of([(254, 3)] * num_frequent, np.array([[254, 3]] * 4)),
      jnp.asarray(drawn_cells[is_frequent]),
    )
  )
  deviation = np.sqrt(expected * count)
  z_scores = (counts[is_frequent] - expected * count) / deviation
  assert np.abs(z_scores).max() < 4.5 and np.abs(z_scores).mean() < 1.1


def stage_outputs(net, params, context, cells, fine):
  first, x = net.apply({'params': params}, context, cells, method='first')
  offset = level_likelihood.offsets(cells, fine)
  second = net.apply(
    {'params': params}, x, cells, offset, x0=fine[..., 0, :], method='second'
  )
  return first, second


@pytest.mark.slow
def test_stages_depend_only_on_what_is_drawn_before_them():
  net, params, context = net_and_params()
  coarse, fine = maps(2)
  cells = level_likelihood.prepare(levels.from_network(coarse.chroma))
  values = levels.to_cells(levels.from_network(fine.chroma))

  def influence(output):
    grad = jax.grad(
      lambda x: (
        stage_outputs(net, params, context, cells, x)[output] ** 2
      ).sum()
    )(values)
    return np.abs(np.asarray(grad)).sum((0, 1, 2, 4))  # of each fine value

  np.testing.assert_array_equal(influence(0), 0)
  seen = influence(1)
  # The second stage reads x0 and the offset. The offset depends on all four
  # values equally, through their sum.
  np.testing.assert_allclose(seen[1:], seen[1], rtol=1e-5)
  assert seen[0] > 0


@pytest.mark.slow
def test_outputs_of_a_cell_depend_on_neighbouring_coarse_values():
  net, params, context = net_and_params()
  coarse, fine = maps(2)
  values = levels.to_cells(levels.from_network(fine.chroma))

  def outputs(chroma):
    cells = level_likelihood.prepare(levels.from_network(chroma))
    first, second = stage_outputs(net, params, context, cells, values)
    return jnp.concatenate([first, second], -1)[0, 1, 1]

  changed = coarse.chroma.at[0, 2, 2].add(8 / 127.5)
  assert float(jnp.abs(outputs(coarse.chroma) - outputs(changed)).max()) > 1e-4


def test_a_coarse_hint_is_the_rounded_mean_of_the_known_values():
  values = np.full((1, 2, 4, 2), 100.0, np.float32)
  values[0, :, :2, 0] = [[10, 13], [90, 91]]
  chroma = levels.to_network(jnp.asarray(values))
  mask = jnp.asarray([[[True, True, False, False], [False] * 4]])
  coarse = levels.coarsen_hints(hint_maps.from_mask(chroma, mask))
  np.testing.assert_array_equal(coarse[0, 0, :, 2], [1, 0])
  known = levels.from_network(coarse[0, 0, 0, :2])
  np.testing.assert_array_equal(known, [12, 100])


def test_on_finest_grid_keeps_the_sum_of_log_probabilities():
  rng = np.random.default_rng(0)
  parts = [rng.normal(0, 1, (2, 2, 3))] * 2 + [rng.normal(0, 1, (2, 4, 6))]
  parts = [jnp.asarray(x, jnp.float32) for x in parts]
  whole = levels.on_finest_grid(parts)
  assert whole.shape == (2, 8, 12)
  expected = sum(float(x.sum()) for x in parts)
  assert float(whole.sum()) == pytest.approx(expected, abs=1e-4)
  hints = np.zeros((2, 8, 12, 3), np.float32)
  hints[0, 0, 0, 2] = hints[1, 5, 7, 2] = 1
  with_hints = levels.on_finest_grid(parts, jnp.asarray(hints))
  assert float(with_hints[0, 0, 0]) == float(with_hints[1, 5, 7]) == 0
  assert float(with_hints.sum()) == pytest.approx(expected, abs=1e-4)


def test_initial_mixture_is_narrow_and_close_to_the_first_guess():
  theta = jnp.asarray(level_likelihood.initial_theta(8, 1, 0))[8:]
  mixture = level_likelihood.unpack(theta)
  assert float(jnp.abs(mixture.means).max()) < 3 / 127.5
  assert float(mixture.log_scales.max()) == level_likelihood.INITIAL_LOG_SCALE
  assert level_likelihood.FIRST_OUTPUTS == len(
    level_likelihood.initial_theta(8, 1, 0)
  )
  assert level_likelihood.SECOND_OUTPUTS == len(
    level_likelihood.initial_theta(0, 3, 2)
  )


def test_integers_of_levels_stand_for_grid_values_of_the_mixture():
  values = jnp.arange(256.0)[:, None]
  chroma = levels.to_network(values)
  np.testing.assert_array_equal(levels.from_network(chroma), values)
  np.testing.assert_array_equal(
    logistic_mixture.nearest_grid_values(chroma), values - 127.5
  )
