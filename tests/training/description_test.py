"""Description of a config: FLOPs of a step, and numbers of parameters."""

import pytest

from pic_jax.training import description
from tests import tiny


def flops_per_step(config):
  return description.run(config, None, None)['flops_per_step']


@pytest.mark.slow
def test_a_frozen_network_costs_a_third_of_a_trained_one():
  config = tiny.config('smoke')
  report = description.run(config, None, None)
  multiply_adds = report['multiply_adds_per_image'] * config.training.batch_size
  assert flops_per_step(config) == 6 * multiply_adds
  config.training.frozen = ('embedding',)
  embedding = sum(
    layer['multiply_adds']
    for layer in report['layers']
    if layer['name'].startswith('embedding/')
  )
  saved = 4 * embedding * config.training.batch_size
  assert flops_per_step(config) == 6 * multiply_adds - saved


@pytest.mark.slow
def test_parameters_of_hints_and_attention_are_counted_outside_the_layers():
  config = tiny.config('photos256_levels')
  report = description.run(config, None, None)
  assert report['num_parameters'] == 5_706_766
  in_layers = sum(layer['num_parameters'] for layer in report['layers'])
  hint_kernel = 3 * 3 * 3 * 64
  attention = 3 * 2  # three scalars for each of two heads
  assert in_layers == 5_706_766 - hint_kernel - attention


@pytest.mark.slow
def test_a_frozen_embedding_includes_its_backbone():
  config = tiny.config('photos128')
  config.training.frozen = ('embedding',)
  frozen = flops_per_step(config)
  config.model.frozen_parts = 0
  assert flops_per_step(config) == frozen


@pytest.mark.slow
def test_a_frozen_backbone_costs_less_than_a_trained_one():
  config = tiny.config('photos128')
  frozen = flops_per_step(config)
  config.model.frozen_parts = 0
  trained = flops_per_step(config)
  assert 0.5 * trained < frozen < 0.95 * trained
