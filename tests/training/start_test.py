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


@pytest.mark.slow
def test_a_decoder_that_no_trained_model_supplies_is_initialised(
  tmp_path, capsys, monkeypatch
):
  path = tmp_path / 'embedding.safetensors'
  config, _, params = save_trained(path, 'photos256', 1)
  config.model.head, config.model.embedding_loss_weight = 'mixture', 0.0
  embedding = {'embedding': params['embedding']}
  weights_file.save(path, embedding, config, step=1, dtype='float32')
  target = tiny.narrow_config('photos256', tmp_path)
  target.training.init_from = str(path)
  model = run_config.build_model(target)
  size = target.data.image_size
  shapes = parameters.shapes(model, size)
  monkeypatch.setattr(
    start, '_first_batch', lambda *_: tiny.images(2, size, size)
  )
  found = start.init_from(target, model, shapes, images=None)
  jax.tree.map(
    np.testing.assert_array_equal, found['embedding'], params['embedding']
  )
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(found['decoder']))
  assert np.abs(found['decoder']['head']['V']).max() > 0
  assert np.abs(found['decoder']['head']['g']).min() > 0
  assert 'initialised at random: decoder.' in capsys.readouterr().err


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
