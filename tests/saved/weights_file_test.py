"""Files of weights: config, recommended sampling and prior of colours."""

import numpy as np
import pytest

from pic_jax.model import colour_prior
from pic_jax.runtime import errors
from pic_jax.saved import recommended_sampling, trained_model, weights_file
from tests import tiny

CALM = recommended_sampling.RecommendedSampling(
  temperature=0.8, fine_temperature=0.5, guidance=0.1
)


def test_weights_keep_the_recommended_sampling(tmp_path):
  params, config = tiny.untrained_model()
  path = tmp_path / 'calm.safetensors'
  weights_file.save(path, params, config, step=1, recommended=CALM)
  assert trained_model.load_recommended(str(path)) == CALM
  weights_file.save(path, params, config, step=1)
  assert trained_model.load_recommended(str(path)).temperature == 1.0


def test_weights_keep_the_prior_of_colours(tmp_path):
  params, config = tiny.untrained_model()
  path = tmp_path / 'weights.safetensors'
  prior = colour_prior.make([np.zeros((4, 2))])
  weights_file.save(path, params, config, step=1, prior=prior)
  found = trained_model.load_prior(str(path))
  np.testing.assert_allclose(found, prior, rtol=1e-3)
  weights_file.save(path, params, config, step=1)
  assert trained_model.load_prior(str(path)) is None


def test_missing_recommended_values_get_defaults():
  found = recommended_sampling.from_flag(['temperature=0.8', 'guidance=0.1'])
  assert (found.temperature, found.guidance) == (0.8, 0.1)
  assert found.saturation == 1.0
  from_values = recommended_sampling.RecommendedSampling.from_values
  assert from_values({'fine_temperature': None}).fine_temperature is None
  with pytest.raises(errors.UserError, match='temperature must be a number'):
    from_values({'temperature': None})


@pytest.mark.parametrize('text', ['temperature', 'heat=1', 'guidance=-1'])
def test_a_wrong_value_of_the_recommend_flag_is_refused_in_one_line(text):
  with pytest.raises(errors.UserError) as error:
    recommended_sampling.from_flag([text])
  assert '\n' not in str(error.value)


def test_the_config_of_a_file_of_weights_is_read(tmp_path):
  params, config = tiny.untrained_model()
  path = tmp_path / 'some.safetensors'
  weights_file.save(path, params, config, step=1)
  found = trained_model.load_config(str(path))
  assert found.model.to_dict() == config.model.to_dict()
