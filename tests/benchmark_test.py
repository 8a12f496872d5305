"""A whole benchmark of a tiny model; what its numbers must add up to."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax import benchmark, stages
from pic_jax.model import pic
from pic_jax.runtime import timing
from pic_jax.sampling import sample
from tests import tiny

SIZES = benchmark.Sizes(
  train=(8,),
  evaluation=8,
  sample={3: sample.METHODS},
  matrix=64,
  input_images=20,
  input_batches=2,
  repeats=1,
)
PIXELS = 7 * 7

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def report():
  config = tiny.config('smoke')
  config.data.image_size = 14
  config.model.update(tiny.MODEL)
  config.model.embedding_stages = ((6, 2, 1, 1),)
  config.model.decoder_blocks = 1
  config.training.batch_size = 16
  return benchmark.run(config, sizes=SIZES)


def test_every_stage_has_rows_with_all_keys(report):
  assert [
    (row['stage'], row['method'], row['batch']) for row in report['rows']
  ] == [
    ('train', None, 8),
    ('eval', None, 8),
    ('input', None, 8),
    ('input', None, 16),
    *(('sample', method, 3) for method in sample.METHODS),
  ]
  for row in report['rows']:
    assert list(row) == list(stages.KEYS)
    assert row['wall_seconds'] > 0 and row['core_seconds'] >= 0
    np.testing.assert_allclose(
      row['images_per_second'] * row['wall_seconds'], 1
    )
    is_sampling = row['stage'] == 'sample'
    assert (row['decoder_passes'] is not None) == is_sampling
    assert (row['peak_bytes'] is None) == (row['stage'] == 'input')
    assert (row['peak_share'] is not None) == (row['stage'] == 'train')
    assert (row['extrapolated'] == 4) == (row['method'] == 'naive')


def test_decoder_passes_are_counted_in_whole_maps(report):
  passes = {
    row['method']: row['decoder_passes']
    for row in report['rows']
    if row['stage'] == 'sample'
  }
  assert passes['naive'] == PIXELS
  assert 1 < passes['parallel'] < PIXELS
  assert passes['cached'] > 0


def test_peak_bytes_hold_parameters_and_two_moments_while_training(report):
  train = report['rows'][0]
  # Parameters, their average and two moments, in and gradients beside them.
  assert train['peak_bytes'] > 5 * 4 * report['num_parameters']


def test_table_has_a_line_for_every_row(report):
  lines = benchmark.to_text(report).splitlines()[-len(report['rows']) :]
  for line, row in zip(lines, report['rows'], strict=True):
    cells = line.split()
    assert cells[0] == row['stage'] and str(row['batch']) in cells
    assert f'{1e3 * row["wall_seconds"]:.3f}' in cells
    if row['method']:
      assert cells[1] == row['method']


def test_report_survives_json_and_names_machine_and_versions(report):
  assert json.loads(json.dumps(report))['rows'] == report['rows']
  assert report['versions']['jax'] == jax.__version__
  assert report['machine']['num_devices'] == 8
  assert report['machine']['matrix_flops_per_second'] > 0
  assert report['config']['model']['decoder_features'] == 6


def test_flops_of_the_full_model_are_those_that_xla_counts():
  net = pic.PIC(**tiny.config('cifar10').model.to_dict() | {'dtype': 'float32'})
  shapes = [(1, 32, 32, 1), (1, 16, 16, 2)]
  inputs = [jax.ShapeDtypeStruct(x, jnp.float32) for x in shapes]
  params = jax.eval_shape(net.init, jax.random.key(0), *inputs)
  flops = timing.conv_flops(net.apply, params, *inputs)
  counted = jax.jit(net.apply).lower(params, *inputs).cost_analysis()['flops']
  # XLA leaves out products with padding, but counts what is pointwise.
  assert 0.9 < flops / counted < 1.15


def test_calls_are_timed_in_turns_and_warmed():
  order = []
  times = timing.measure(
    [lambda: order.append('a'), lambda: order.append('b')], repeats=3
  )
  assert times.shape == (3, 2, 2)
  counts = [timing.MAX_CALLS] * 6
  expected = ['a', 'b']
  for name, count in zip('ababab', counts, strict=True):
    expected += [name] * count
  assert order == expected
