"""The arithmetic of a step: frozen layers have no backward pass."""

import pytest

from pic_jax.training import description
from tests import tiny


def flops(config):
  return description.run(config, None, None)['flops_per_step']


@pytest.mark.slow
def test_frozen_networks_cost_a_third():
  config = tiny.config('smoke')
  table = description.run(config, None, None)
  products = table['multiply_adds_per_image'] * config.training.batch_size
  assert flops(config) == 6 * products
  config.training.frozen = ('embedding',)
  embedding = sum(
    layer['multiply_adds']
    for layer in table['layers']
    if layer['name'].startswith('embedding/')
  )
  saved = 4 * embedding * config.training.batch_size
  assert flops(config) == 6 * products - saved


@pytest.mark.slow
def test_all_parameters_are_counted_also_those_of_hints_and_attention():
  config = tiny.config('photos256_levels')
  report = description.run(config, None, None)
  assert report['num_parameters'] == 5_706_766
  in_layers = sum(layer['num_parameters'] for layer in report['layers'])
  kernel_of_hints, attention = 3 * 3 * 3 * 64, 3 * 2  # 3 scalars of 2 heads
  assert in_layers == 5_706_766 - kernel_of_hints - attention


@pytest.mark.slow
def test_a_frozen_embedding_includes_its_backbone():
  config = tiny.config('photos128')
  config.training.frozen = ('embedding',)
  frozen = flops(config)
  config.model.frozen_parts = 0
  assert flops(config) == frozen


@pytest.mark.slow
def test_a_frozen_backbone_costs_less_than_one_that_learns():
  config = tiny.config('photos128')
  frozen = flops(config)
  config.model.frozen_parts = 0
  learning = flops(config)
  assert 0.5 * learning < frozen < 0.95 * learning
