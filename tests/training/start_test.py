"""Start of a run from trained models or from a checkpoint."""

import jax
import numpy as np
import pytest

from pic_jax.model import parameters
from pic_jax.runtime import errors
from pic_jax.saved import checkpoints, run_config, weights_file
from pic_jax.training import start, train_step
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
  with pytest.raises(errors.RunError, match='Leave out .*coarse'):
    start.init_from(config, model, shapes, images=None)
  config.training.init_from = f'{coarse},'
  with pytest.raises(errors.UserError, match="empty entry: '.*,'"):
    start.init_from(config, model, shapes, images=None)


def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_renamed(
  tmp_path, monkeypatch
):
  config, shapes, params = save_trained(
    tmp_path / 'a.safetensors', 'photos256', 1
  )
  data = {'sha256': 'x'}
  smaller = dict(params)
  del smaller['decoder']
  monkeypatch.setattr(
    checkpoints,
    'restore',
    lambda workdir: ({'params': smaller}, {'step': 4, 'data': data}),
  )
  renamed = []
  monkeypatch.setattr(
    checkpoints, 'set_aside_after', lambda *args: renamed.append(args)
  )
  state = train_step.TrainState(
    step=0,
    params=shapes,
    ema_params=shapes,
    opt_state=(),
    num_skipped=0,
    skipped_in_row=0,
  )
  with pytest.raises(errors.RunError, match='decoder'):
    start.resumed(str(tmp_path), state, data)
  assert not renamed
