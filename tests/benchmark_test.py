"""A benchmark of a tiny model, and relations between its numbers."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax import benchmark
from pic_jax.sampling import refinement
from tests import tiny

PIXELS = 7 * 7  # of the chroma map


@pytest.fixture(scope='module')
def report():
  config = tiny.config('smoke')
  config.data.image_size = 14
  config.model.update(tiny.MODEL)
  config.model.embedding_stages = ((6, 2, 1, 1),)
  config.model.decoder_blocks = 1
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(benchmark, 'MIN_SECONDS', 0.01)
    return benchmark.run(config, batches=[9], canvases=[3])


@pytest.mark.slow
def test_rows_have_all_keys_and_the_numbers_that_apply(report):
  assert [(row['stage'], row['batch']) for row in report['rows']] == [
    *(('train', 16), ('eval', 16)),  # 9 images, rounded up for 8 devices
    *(('cached', 3), ('parallel', 3)),
  ]
  for row in report['rows']:
    assert list(row) == list(benchmark.KEYS)
    assert row['wall_seconds'] > 0 and row['core_seconds'] > 0
    is_sampling = row['stage'] in ('cached', 'parallel')
    assert (row['decoder_passes'] is not None) == is_sampling
    assert (row['gflop'] is None) == is_sampling
  assert report['rows'][2]['decoder_passes'] > 0
  assert 1 < report['rows'][3]['decoder_passes'] < PIXELS


@pytest.mark.slow
def test_a_model_with_finer_levels_is_measured(monkeypatch):
  params, config = tiny.model_with_levels()
  monkeypatch.setattr(benchmark, 'MIN_SECONDS', 0.01)
  refine_calls = []
  refine = refinement.refine

  def count(*args, **kwargs):
    refine_calls.append(args)
    return refine(*args, **kwargs)

  monkeypatch.setattr(refinement, 'refine', count)
  report = benchmark.run(config, params, batches=[8], canvases=[2])
  assert [row['stage'] for row in report['rows']] == [
    *('train', 'eval', 'cached', 'parallel')
  ]
  assert refine_calls


@pytest.mark.slow
def test_memory_of_training_exceeds_five_copies_of_the_parameters(report):
  # Parameters, their average, their gradients and two moments, all float32.
  lower_bound = 5 * 4 * report['num_parameters']
  assert report['rows'][0]['peak_mib'] * 2**20 > lower_bound


@pytest.mark.slow
def test_training_costs_two_to_four_times_as_much_as_evaluation(report):
  train, score = (row['gflop'] for row in report['rows'][:2])
  assert 2 < train / score < 4


@pytest.mark.slow
def test_table_has_a_line_for_every_row(report):
  lines = benchmark.to_text(report).splitlines()[-len(report['rows']) :]
  for line, row in zip(lines, report['rows'], strict=True):
    cells = line.split()
    assert cells[:2] == [row['stage'], str(row['batch'])]
    assert f'{row["core_seconds"]:.5f}' in cells


@pytest.mark.slow
def test_report_survives_json_and_names_versions(report):
  assert json.loads(json.dumps(report))['rows'] == report['rows']
  assert report['versions']['jax'] == jax.__version__
  assert report['num_devices'] == 8


def test_flops_are_those_of_the_convolution():
  def conv(x, kernel):
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  args = jnp.ones((2, 9, 11, 5)), jnp.ones((3, 3, 5, 7))
  _, costs = benchmark._compile(jax.jit(conv), *args)
  expected = 2 * (2 * 7 * 9 * 7) * (3 * 3 * 5)
  np.testing.assert_allclose(1e9 * costs['gflop'], expected, rtol=0.02)


def test_calls_are_warmed_up_and_then_timed_in_turns(monkeypatch):
  monkeypatch.setattr(benchmark, 'NUM_ROUNDS', 3)
  # Even on a busy machine, each call is repeated 50 times, the maximum.
  monkeypatch.setattr(benchmark, 'MIN_SECONDS', 1e3)
  order = []
  times = benchmark.measure(
    [lambda: order.append('a'), lambda: order.append('b')]
  )
  assert times.shape == (3, 2, 2)
  expected = 'ab' + 3 * (50 * 'a' + 50 * 'b')
  assert ''.join(order) == expected
