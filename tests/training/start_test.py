"""Initial parameters of a run that starts from trained models."""

import jax
import numpy as np
import pytest

from pic_jax.model import parameters
from pic_jax.runtime import errors
from pic_jax.saved import run_config, weights_file
from pic_jax.training import start
from tests import tiny


def save_trained(path, name, seed):
  """Saves a random narrow model; returns config, shapes and parameters."""
  config = tiny.narrow_config(name, path.parent)
  shapes = parameters.shapes(
    run_config.build_model(config), config.data.image_size
  )
  rng = np.random.default_rng(seed)
  params = jax.tree.map(
    lambda x: rng.standard_normal(x.shape).astype(np.float32), shapes
  )
  weights_file.save(path, params, config, step=seed, dtype='float32')
  return config, shapes, params


def test_networks_that_the_first_trained_model_lacks_come_from_the_second(
  tmp_path, capsys
):
  coarse, both = tmp_path / 'coarse.safetensors', tmp_path / 'a,b.safetensors'
  _, _, coarse_params = save_trained(coarse, 'photos256', 1)
  config, shapes, both_params = save_trained(both, 'photos256_levels', 2)
  config.training.init_from = f'{coarse},{both}'
  model = run_config.build_model(config)
  found = start.init_from(config, model, shapes, images=None)
  expected = {**both_params, **coarse_params}
  assert {'level_1', 'level_2'} == both_params.keys() - coarse_params.keys()
  jax.tree.map(np.testing.assert_array_equal, dict(found), expected)
  assert (
    f'Taking level_1, level_2 from {both}, step 2.' in capsys.readouterr().err
  )
  config.training.init_from = f'{both},{coarse}'
  with pytest.raises(errors.RunError, match='coarse.*Leave it out'):
    start.init_from(config, model, shapes, images=None)
  config.training.init_from = f'{coarse},'
  with pytest.raises(errors.UserError, match="empty entry: '.*,'"):
    start.init_from(config, model, shapes, images=None)
