"""Saved states are restored bit for bit, or an error names the problem."""

import collections
import errno
import hashlib
import itertools
import json
import pathlib
import random
import shutil
from collections.abc import Iterator

import jax
import numpy as np
import optax
import pytest
import safetensors.numpy

from pic_jax.model import parameters
from pic_jax.runtime import errors
from pic_jax.saved import (
  checkpoints,
  digests,
  parameter_check,
  run_config,
  trained_model,
  weights_file,
)
from pic_jax.training import train_step
from tests import tiny

# When a file is damaged, Orbax leaves other reads pending. They then find its
# event loop closed.
pytestmark = pytest.mark.filterwarnings(
  'ignore::pytest.PytestUnraisableExceptionWarning'
)


@pytest.fixture
def run(tmp_path):
  """Saves three steps, keeps two; returns workdir, config, states by step."""
  config = tiny.config('smoke')
  with config.unlocked():
    config.model = tiny.MODEL | {
      name: config.model[name]
      for name in config.model
      if name not in tiny.MODEL
    }
  net = run_config.build_model(config)
  params = parameters.initial(net, net.split_lab(tiny.images()), 0)
  state = train_step.create(params, optax.adam(1e-3))
  saver = checkpoints.Saver(str(tmp_path), config, max_to_keep=2)
  states = {}
  for step in (1, 2, 3):
    state = jax.tree.map(
      lambda x: np.asarray(x + np.ones((), x.dtype)), state
    ).replace(step=np.int32(step))
    state = state.replace(
      ema_params=jax.tree.map(lambda x: x - np.float32(0.5), state.ema_params)
    )
    states[step] = state
    saver.save(state)
  saver.close()
  return tmp_path, config, states


def assert_leaves_equal(tree, state):
  expected = checkpoints.flax.serialization.to_state_dict(state)
  jax.tree.map(np.testing.assert_array_equal, tree, expected)


def data_file(path):
  """Returns the largest file of a checkpoint's arrays."""
  return max(path.glob('**/d/*'), key=lambda p: p.stat().st_size)


def test_last_states_are_kept_and_restored_bitwise(run):
  workdir, config, states = run
  assert checkpoints.saved_steps(workdir) == [2, 3]
  tree, meta = checkpoints.restore(str(workdir))
  assert_leaves_equal(tree, states[3])
  assert meta['step'] == 3 and 'commit' in meta['provenance']
  tree, _ = checkpoints.restore(str(workdir), step=2)
  assert_leaves_equal(tree, states[2])
  params, loaded, step = trained_model.load_trained(f'{workdir}@2')
  assert step == 2 and loaded.to_dict() == config.to_dict()
  assert_leaves_equal(params, states[2].ema_params)
  # The loaded parameters are averaged, unlike `states[2].params`.
  bias = states[2].params['decoder']['head']['b']
  assert (params['decoder']['head']['b'] != bias).all()


def test_a_damaged_checkpoint_is_named_and_the_previous_one_is_used(
  run, capsys
):
  workdir, _, states = run
  path = data_file(workdir / 'checkpoints' / '3' / 'state')
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  tree, meta = checkpoints.restore(str(workdir))
  assert meta['step'] == 2
  assert_leaves_equal(tree, states[2])
  assert 'checkpoints/3 is damaged' in capsys.readouterr().err
  with pytest.raises(errors.RunError, match='No checkpoint'):
    checkpoints.restore(str(workdir), step=3)
  assert checkpoints.saved_steps(workdir) == [2, 3]  # nothing was deleted


def flip_bit(data: bytes, position: int) -> bytes:
  """Flips one bit, whose position is counted over the whole file."""
  byte = data[position // 8] ^ (1 << position % 8)
  return data[: position // 8] + bytes([byte]) + data[position // 8 + 1 :]


def damages(step: pathlib.Path) -> Iterator[tuple[pathlib.Path, bytes | None]]:
  """Yields files with damaged contents; None stands for a deleted file.

  First every file is deleted, halved and zeroed. Then random bits of the arrays
  are flipped, without end.
  """
  files = sorted(path for path in step.rglob('*') if path.is_file())
  for path in files:
    data = path.read_bytes()
    for damaged in (None, data[: len(data) // 2], bytes(len(data))):
      yield path, damaged
  rng = random.Random(0)
  arrays = [path for path in files if path.parent.name == 'd']
  sizes = [path.stat().st_size for path in arrays]
  while True:
    (path,) = rng.choices(arrays, sizes)
    data = path.read_bytes()
    yield path, flip_bit(data, rng.randrange(8 * len(data)))


@pytest.mark.slow
def test_no_damage_is_restored_silently(run, capsys):
  """After each of 80 damages, the last state or the one before is restored."""
  workdir, _, states = run
  outcomes = collections.Counter()
  step = workdir / 'checkpoints' / '3'
  for path, damaged in itertools.islice(damages(step), 80):
    original = path.read_bytes()
    if damaged is None:
      path.unlink()
    else:
      path.write_bytes(damaged)
    tree, meta = checkpoints.restore(str(workdir))
    assert_leaves_equal(tree, states[meta['step']])
    warned = 'checkpoints/3 is damaged' in capsys.readouterr().err
    assert warned == (meta['step'] == 2), path
    outcomes[meta['step']] += 1
    path.write_bytes(original)
  # Only five files are needed: two of metadata, the manifest, its index and one
  # array. Each is deleted, halved and zeroed, which makes 15 damages.
  assert outcomes[2] >= 15 and outcomes.total() == 80


def test_links_and_arrays_of_other_shapes_are_refused(run):
  workdir, config, states = run
  path = data_file(workdir / 'checkpoints' / '3' / 'state')
  elsewhere = path.rename(workdir / 'elsewhere')
  path.symlink_to(elsewhere)
  with pytest.raises(errors.RunError, match='symbolic links'):
    checkpoints.restore(str(workdir))

  saver = checkpoints.Saver(str(workdir / 'other'), config, max_to_keep=1)
  head = states[3].params['decoder']['head']
  head['b'] = np.zeros(7777, np.float32)
  saver.save(states[3])
  saver.close()
  with pytest.raises(errors.RunError, match=r'shape \(7777,\)'):
    trained_model.load(str(workdir / 'other'))
  head['b'] = np.zeros(6, np.float32)  # another layer's shape
  file = workdir / 'w.safetensors'
  weights_file.save(file, states[3].params, config, step=3)
  with pytest.raises(errors.RunError, match='decoder/head/b'):
    trained_model.load(str(file))


def test_a_changed_description_is_noticed(run, capsys):
  workdir, _, states = run
  path = workdir / 'checkpoints' / '3' / 'meta' / 'metadata'
  text = path.read_text()
  path.write_text(text.replace('0.002', '0.003'))
  assert path.read_text() != text
  tree, meta = checkpoints.restore(str(workdir))
  assert meta['step'] == 2 and 'digest' in capsys.readouterr().err


SYSTEM_ERRORS = {
  'failed disk': OSError(errno.EIO, 'Input/output error'),
  'stale handle': OSError(errno.ESTALE, 'Stale file handle'),
  'no permission': PermissionError(errno.EACCES, 'Permission denied'),
  'no memory': MemoryError(),
  # The form in which tensorstore raises them.
  'tensorstore': ValueError(
    'UNKNOWN: Error reading "a": [OS error 116: ESTALE Stale file handle]'
  ),
}


@pytest.mark.parametrize('name', SYSTEM_ERRORS)
@pytest.mark.parametrize('num_failures', [1, 100])
def test_a_system_error_is_not_damage(
  name, num_failures, run, monkeypatch, capsys
):
  workdir, _, states = run
  failures = iter([SYSTEM_ERRORS[name]] * num_failures)
  read = checkpoints._read

  def read_or_fail(path):
    if failure := next(failures, None):
      raise failure
    return read(path)

  monkeypatch.setattr(checkpoints, '_read', read_or_fail)
  monkeypatch.setattr(checkpoints, 'RETRY_SECONDS', (0.0, 0.0))
  if num_failures == 1:
    assert_leaves_equal(checkpoints.restore(str(workdir))[0], states[3])
  else:
    with pytest.raises(errors.RunError, match='/3 cannot be read'):
      checkpoints.restore(str(workdir))
  assert checkpoints.saved_steps(workdir) == [2, 3]
  assert 'damaged' not in capsys.readouterr().err


def test_a_system_error_that_orbax_hides_is_not_damage(
  run, monkeypatch, capsys
):
  """Orbax logs a failed read of its own metadata and goes on with None."""
  workdir, _, _ = run
  hidden = workdir / 'checkpoints' / '3' / 'state' / '_METADATA'
  contents = hidden.read_bytes()
  hidden.write_bytes(b'')
  read_bytes = pathlib.Path.read_bytes

  def fail(path):
    if path.name == hidden.name and '/3/' in str(path):
      raise OSError(errno.EIO, 'Input/output error', str(path))
    return read_bytes(path)

  monkeypatch.setattr(pathlib.Path, 'read_bytes', fail)
  monkeypatch.setattr(checkpoints, 'RETRY_SECONDS', ())
  with pytest.raises(errors.RunError, match='/3 cannot be read'):
    checkpoints.restore(str(workdir))
  monkeypatch.undo()
  hidden.write_bytes(contents)
  assert checkpoints.restore(str(workdir))[1]['step'] == 3


def test_other_files_and_folders_beside_checkpoints_are_ignored(run):
  workdir, _, states = run
  for name in ('²', '30 (1)', '._3', '.DS_Store', '4.orbax-checkpoint-tmp-1'):
    (workdir / 'checkpoints' / name).mkdir()
  for path in list((workdir / 'checkpoints' / '3').rglob('*')):
    if path.is_file():
      path.with_name(f'._{path.name}').write_bytes(b'of a Mac')
  assert_leaves_equal(checkpoints.restore(str(workdir))[0], states[3])


def test_unfinished_checkpoints_of_a_killed_run_are_removed(run):
  workdir, config, states = run
  for name in ('4.orbax-checkpoint-tmp', '5.orbax-checkpoint-tmp-17'):
    shutil.copytree(workdir / 'checkpoints/3', workdir / 'checkpoints' / name)
  (workdir / 'checkpoints' / '3.damaged.17').mkdir()
  saver = checkpoints.Saver(str(workdir), config, max_to_keep=2)
  saver.save(states[3].replace(step=np.int32(6)))
  saver.close()
  names = {path.name for path in (workdir / 'checkpoints').iterdir()}
  assert names == {'3', '6', '3.damaged.17'}


def test_an_old_checkpoint_that_cannot_be_removed_does_not_end_the_run(
  run, monkeypatch, capsys
):
  workdir, config, states = run
  rmtree = shutil.rmtree

  def fail(path, *args, **kwargs):
    if str(path).endswith('checkpoints/2'):
      raise OSError(errno.ENOTEMPTY, 'Directory not empty', str(path))
    rmtree(path, *args, **kwargs)

  monkeypatch.setattr(shutil, 'rmtree', fail)
  saver = checkpoints.Saver(str(workdir), config, max_to_keep=2)
  for step in (4, 5):
    saver.save(states[3].replace(step=np.int32(step)))
  saver.close()
  assert checkpoints.saved_steps(workdir) == [2, 4, 5]
  assert 'checkpoints/2 cannot be removed' in capsys.readouterr().err
  monkeypatch.undo()
  saver = checkpoints.Saver(str(workdir), config, max_to_keep=2)
  saver.close()
  assert checkpoints.saved_steps(workdir) == [4, 5]


def test_a_folder_that_cannot_be_listed_is_not_treated_as_empty(
  run, monkeypatch
):
  def fail(path):
    raise OSError(errno.ESTALE, 'Stale file handle', str(path))

  monkeypatch.setattr(checkpoints.os, 'listdir', fail)
  with pytest.raises(OSError, match='Stale'):
    checkpoints.restore(str(run[0]))


def rewrite_config(workdir: pathlib.Path, section: str, field: str, value):
  """Changes a field of the config in checkpoint 3, and updates the digest."""
  path = workdir / 'checkpoints' / '3' / 'meta' / 'metadata'
  meta = json.loads(path.read_text())
  del meta['digest']
  config = json.loads(meta['config'])
  config[section][field] = value
  meta['config'] = json.dumps(config)
  path.write_text(json.dumps(meta | {'digest': digests.digest_json(meta)}))


@pytest.mark.parametrize(
  'section,field,value',
  [
    ('training', 'gradient_clipping', 1.0),
    ('optimizer', 'name', 'one of tomorrow'),
    ('model', 'dropout_rate', [0.1, 0.2]),
  ],
)
def test_a_model_of_a_newer_version_is_refused_but_not_called_damaged(
  section, field, value, run, capsys
):
  workdir, config, states = run
  rewrite_config(workdir, section, field, value)
  for load in (checkpoints.restore, trained_model.load_trained):
    with pytest.raises(errors.RunError, match=f'newer version.*{field}'):
      load(str(workdir))
  assert checkpoints.saved_steps(workdir) == [2, 3]
  assert 'damaged' not in capsys.readouterr().err
  sections = config.to_dict()
  sections[section][field] = value
  file = workdir / 'w.safetensors'
  about = {'config': json.dumps(sections), 'step': '3'}
  file.write_bytes(safetensors.numpy.save({}, about))
  with pytest.raises(errors.RunError, match=f'newer version.*{field}'):
    trained_model.load_trained(str(file))


def test_restore_fails_if_all_checkpoints_are_damaged_not_if_there_are_none(
  run, tmp_path
):
  workdir, _, _ = run
  for step in (2, 3):
    (workdir / 'checkpoints' / str(step) / 'meta' / 'metadata').unlink()
  with pytest.raises(errors.RunError, match='can be restored'):
    checkpoints.restore(str(workdir))
  assert checkpoints.restore(str(tmp_path / 'empty')) is None
  with pytest.raises(errors.RunError, match='has no checkpoint'):
    trained_model.load_trained(str(tmp_path / 'empty'))


@pytest.mark.parametrize(
  'name', ['config.json', 'checkpoints', 'checkpoints/3']
)
def test_the_error_for_a_path_inside_a_workdir_names_the_workdir(name, run):
  workdir = run[0]
  (workdir / 'config.json').touch()
  with pytest.raises(errors.RunError) as error:
    trained_model.load_trained(f'{workdir / name}/')
  assert f'Did you mean {workdir}' in str(error.value)
  assert ('@3' in str(error.value)) == name.endswith('3')


def test_the_list_of_parameters_that_do_not_fit_has_at_most_twelve_lines(run):
  tree, _ = checkpoints.restore(str(run[0]))
  parameter_check.check_fit(tree['params'], tree['params'], 'here')
  other = jax.tree.map(lambda x: x[..., :2], tree['params'])
  del other['decoder']['head']
  with pytest.raises(errors.RunError) as error:
    parameter_check.check_fit(tree['params'], other, 'here')
  lines = str(error.value).splitlines()
  assert len(lines) <= 12 and 'and' in lines[-1]
  assert '(2, 3, 3, 6) saved, (2, 3, 3, 2) in the model' in str(error.value)


def test_exported_weights_round_trip(run):
  workdir, config, states = run
  file = workdir / 'w.safetensors'
  params = states[3].ema_params
  weights_file.save(file, params, config, step=3)
  description = json.loads((workdir / 'w.json').read_text())
  digest = hashlib.sha256(file.read_bytes()).hexdigest()
  assert description['sha256'] == digest and description['step'] == 3
  loaded, loaded_config, step = trained_model.load_trained(str(file))
  assert step == 3 and loaded_config.to_dict() == config.to_dict()
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-3),
    loaded,
    params,
  )
  assert {x.dtype for x in jax.tree.leaves(loaded)} == {np.dtype('float32')}


def test_files_that_hold_no_weights_are_refused(tmp_path):
  no_header = tmp_path / 'no_header.safetensors'
  no_header.write_bytes(b'nothing')
  about = {'config': run_config.to_json(tiny.config('smoke')), 'step': '7'}
  bad_step = tmp_path / 'bad_step.safetensors'
  bad_step.write_bytes(safetensors.numpy.save({}, about | {'step': 'seven'}))
  float8 = tmp_path / 'float8.safetensors'  # a type that numpy lacks
  array = {'dtype': 'F8_E4M3', 'shape': [4], 'data_offsets': [0, 4]}
  header = json.dumps({'__metadata__': about, 'V': array}).encode()
  float8.write_bytes(len(header).to_bytes(8, 'little') + header + bytes(4))
  for path in (no_header, bad_step, float8, tmp_path / 'missing.safetensors'):
    with pytest.raises(errors.RunError, match=path.name):
      trained_model.load_trained(str(path))
  with pytest.raises(errors.RunError, match='must end in'):
    weights_file.save(tmp_path / 'w.npz', {}, tiny.config('smoke'), step=0)


def test_the_error_for_a_git_lfs_pointer_names_the_remedy(tmp_path):
  path = tmp_path / 'w.safetensors'
  path.write_text('version https://git-lfs.github.com/spec/v1\nsize 9\n')
  with pytest.raises(errors.RunError, match='git lfs pull'):
    trained_model.load_trained(str(path))


def test_weights_that_float16_cannot_hold_are_not_written(tmp_path):
  params = {'head': {'V': np.float32([1.0, 7e4])}}
  path = tmp_path / 'w.safetensors'
  with pytest.raises(errors.RunError, match='head/V is not finite as float16'):
    weights_file.save(path, params, tiny.config('smoke'), step=0)
  assert not path.exists()
  weights_file.save(path, params, tiny.config('smoke'), step=0, dtype='float32')


@pytest.mark.parametrize('name', ['run@10', 'lr=0.1,bs=4', 'w.safetensors'])
def test_a_workdir_may_have_any_name(name, run, tmp_path):
  workdir, _, states = run
  named = shutil.copytree(workdir, tmp_path / 'named' / name)
  for source in (named, f'{named}@3'):
    params, _, step = trained_model.load_trained(str(source))
    assert step == 3
    assert_leaves_equal(params, states[3].ema_params)
