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


def test_a_frozen_backbone_costs_less_than_one_that_learns():
  config = tiny.config('photos128')
  frozen = flops(config)
  config.model.frozen_parts = 0
  learning = flops(config)
  assert 0.5 * learning < frozen < 0.95 * learning
