"""Whole runs on a tiny folder: every config, resuming, fine-tuning."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import struct

import jax
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from pic_jax.data import fingerprints, input_pipeline
from pic_jax.evaluation import likelihood
from pic_jax.images import image_files
from pic_jax.model import logistic_mixture, parameters
from pic_jax.runtime import devices, errors, lock
from pic_jax.sampling import sample, sheets
from pic_jax.saved import checkpoints, run_config, trained_model, weights_file
from pic_jax.training import loop, optimizers, periodic, train_step
from tests import tiny


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp('images')
  tiny.write_folder(path, 21)
  return path


def state_of(workdir, step=None):
  tree, _ = checkpoints.restore(str(workdir), step)
  return tree


def assert_identical(left, right):
  jax.tree.map(np.testing.assert_array_equal, left, right)


def losses(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  records = [json.loads(line) for line in lines]
  return {r['step']: r['loss'] for r in records if 'loss' in r}


@pytest.mark.slow
@pytest.mark.parametrize('name', tiny.CONFIGS)
def test_every_config_trains_three_steps(name, folder, tmp_path):
  config = tiny.narrow_config(name, folder)
  loop.train_and_evaluate(config, str(tmp_path))
  assert checkpoints.saved_steps(tmp_path) == [1, 2, 3]
  values = losses(tmp_path)
  assert (
    sorted(values) == [1, 2, 3] and np.isfinite(list(values.values())).all()
  )
  assert values[1] != values[2]


@pytest.fixture(scope='module')
def finished(folder, tmp_path_factory):
  """Trains for three steps, then evaluates and draws a sheet of samples."""
  workdir = tmp_path_factory.mktemp('finished')
  config = tiny.narrow_config('cifar10', folder)
  config.optimizer.name = 'muon'  # and Adam for the other parameters
  config.training.eval_every_steps = 3
  config.training.sample_every_steps = 3
  loop.train_and_evaluate(config, str(workdir))
  return config, workdir


def test_a_run_writes_its_config_metrics_and_a_sheet_of_samples(finished):
  config, workdir = finished
  saved = run_config.from_json((workdir / 'config.json').read_text())
  assert saved.to_dict() == config.to_dict()
  assert (workdir / 'figures' / 'step_0000003.png').stat().st_size > 100
  text = (workdir / 'metrics.jsonl').read_text()
  assert '"validation_bits_per_dim"' in text and '"learning_rate"' in text


@pytest.mark.slow
def test_tensorboard_shows_the_metrics_and_the_sheet(finished):
  _, workdir = finished
  (path,) = workdir.glob('events.out.tfevents.*')
  data, scalars, pictures = path.read_bytes(), {}, []
  while data:  # a TFRecord: length, checksum, event, checksum
    (length,) = struct.unpack_from('<Q', data)
    event = event_pb2.Event.FromString(data[12 : 12 + length])
    data = data[16 + length :]
    for value in event.summary.value:
      if value.HasField('image'):
        pictures.append((event.step, value.image.height, value.image.width))
      else:
        scalars[value.tag, event.step] = value.simple_value
  sheet = image_files.load_image(workdir / 'figures' / 'step_0000003.png')
  assert (3, *sheet.shape[:2]) in pictures
  for line in (workdir / 'metrics.jsonl').read_text().splitlines():
    record = json.loads(line)
    for name in {'loss', 'validation_bits_per_dim'} & set(record):
      shown = scalars.pop((name, record['step']))
      assert shown == pytest.approx(record[name])
  assert not {'loss', 'validation_bits_per_dim'} & {tag for tag, _ in scalars}


@pytest.mark.slow
def test_periodic_evaluation_scores_the_averaged_parameters(finished):
  config, workdir = finished
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  records = [json.loads(line) for line in lines]
  logged = [
    record['validation_bits_per_dim']
    for record in records
    if 'validation_bits_per_dim' in record
  ]
  params, _, _ = trained_model.load_trained(str(workdir))
  source = input_pipeline.open_source(config.data, config.data.validation_split)
  report = likelihood.evaluate(
    config, devices.replicate(params), source, num_images=-1
  )
  np.testing.assert_allclose(logged, [report['bits_per_dim']], rtol=1e-6)


@pytest.mark.slow
def test_the_step_of_a_damaged_checkpoint_is_repeated(finished, tmp_path):
  config, uninterrupted = finished
  loop.train_and_evaluate(config, str(tmp_path))
  damaged = tmp_path / 'checkpoints' / '3'
  (damaged / 'meta' / 'metadata').write_text('{}')
  loop.train_and_evaluate(config, str(tmp_path))
  assert_identical(state_of(tmp_path, 3), state_of(uninterrupted, 3))
  assert list((tmp_path / 'checkpoints').glob('3.damaged.*'))


@pytest.mark.slow
def test_a_broken_config_json_is_ignored_and_remat_may_change(folder, tmp_path):
  config = tiny.narrow_config('cifar10', folder)
  (tmp_path / 'config.json').write_text('half a conf')
  config.training.num_steps = 1
  loop.train_and_evaluate(config, str(tmp_path))
  config.model.remat = True
  config.training.num_steps = 2
  loop.train_and_evaluate(config, str(tmp_path))
  assert sorted(losses(tmp_path)) == [1, 2]


def copied(run, folder, tmp_path):
  """Copies a finished run and its images, and adds a fourth step to train."""
  config, workdir = run
  config = config.copy_and_resolve_references()
  config.data.data_dir = str(shutil.copytree(folder, tmp_path / 'images'))
  config.training.num_steps = 4
  return config, shutil.copytree(workdir, tmp_path / 'run')


@pytest.mark.slow
@pytest.mark.parametrize('change', ['one more', 'one less', 'another size'])
def test_a_run_is_not_resumed_on_other_images(
  change, finished, folder, tmp_path
):
  config, workdir = copied(finished, folder, tmp_path)
  images = pathlib.Path(config.data.data_dir)
  if change == 'one more':  # among the first 16, which are the training split
    shutil.copy(images / '003.png', images / '0030.png')
  elif change == 'one less':
    (images / '003.png').unlink()
  else:
    (images / '003.png').write_bytes((images / '004.png').read_bytes())
  before = (workdir / 'config.json').read_text()
  with pytest.raises(errors.UserError, match='other images.*init_from'):
    loop.train_and_evaluate(config, str(workdir))
  assert (workdir / 'config.json').read_text() == before
  assert checkpoints.saved_steps(workdir) == [1, 2, 3]


def test_resuming_without_a_stored_fingerprint_gives_a_note():
  fingerprint = {'sha256': '00', 'num_images': 7}
  assert 'earlier version' in fingerprints.check_same(None, fingerprint, 'run')
  assert fingerprints.check_same(fingerprint, fingerprint, 'run') == ''


@pytest.mark.slow
def test_checkpoints_without_config_json_keep_their_model_and_data(
  finished, folder, tmp_path
):
  config, workdir = copied(finished, folder, tmp_path)
  (workdir / 'config.json').unlink()
  config.data.train_split = 'train[:12]'
  with pytest.raises(errors.UserError, match='another run.*train_split'):
    loop.train_and_evaluate(config, str(workdir))
  assert not (workdir / 'config.json').exists()


@pytest.mark.slow
def test_a_finished_run_says_that_nothing_is_left_to_do(
  finished, folder, tmp_path, capsys, monkeypatch
):
  config, workdir = copied(finished, folder, tmp_path)
  monkeypatch.setattr(loop, '_train', pytest.fail)
  for num_steps in (3, 2):
    config.training.num_steps = num_steps
    state = loop.train_and_evaluate(config, str(workdir))
    assert int(devices.fetch(state).step) == 3
    message = capsys.readouterr().err
    assert f'step 3 of {num_steps}: nothing is left' in message


@pytest.mark.slow
def test_progress_is_saved_when_an_image_cannot_be_read(
  finished, folder, tmp_path, monkeypatch
):
  config, _ = copied(finished, folder, tmp_path)
  config.training.eval_every_steps = config.training.sample_every_steps = 0
  config.training.checkpoint_every_steps = 1000
  config.data.max_unreadable = 0
  source = input_pipeline.open_training(config.data).images
  monkeypatch.setattr(input_pipeline, 'MEMORY_LIMIT_BYTES', 0)
  # Each "image" is its own index, so the batches show the order of the images.
  batches = input_pipeline.train_dataset(
    np.arange(len(source), dtype=np.uint8).reshape(-1, 1, 1, 1),
    config.training.batch_size,
    config.training.seed,
  )
  # An epoch has two steps. This image is read only in the second.
  late = set(batches[1].ravel()) - set(batches[0].ravel())
  path = pathlib.Path(config.data.data_dir) / f'{late.pop():03d}.png'
  path.write_bytes(path.read_bytes()[:60])
  workdir = tmp_path / 'new'
  with pytest.raises(errors.UserError, match=f'{path.name}.*max_unreadable'):
    loop.train_and_evaluate(config, str(workdir))
  assert checkpoints.saved_steps(workdir) == [1]


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
  finished, tmp_path
):
  config, uninterrupted = finished
  config = config.copy_and_resolve_references()
  config.training.num_steps = 1
  loop.train_and_evaluate(config, str(tmp_path))
  config.training.num_steps = 3
  loop.train_and_evaluate(config, str(tmp_path))
  for step in (1, 2, 3):
    assert_identical(state_of(tmp_path, step), state_of(uninterrupted, step))
  # Equal losses show that the data had the same order.
  assert losses(tmp_path) == losses(uninterrupted)
  state = state_of(tmp_path)
  average, params = (
    np.concatenate([x.ravel() for x in jax.tree.leaves(state[name])])
    for name in ('ema_params', 'params')
  )
  assert (average != params).mean() > 0.5


@pytest.mark.slow
def test_a_finished_run_does_nothing_more(finished):
  config, workdir = finished
  before = losses(workdir)
  state = loop.train_and_evaluate(config, str(workdir))
  assert_identical(
    jax.tree.map(lambda x: np.asarray(x)[0], state.params),
    state_of(workdir)['params'],
  )
  assert losses(workdir) == before


@pytest.mark.slow
def test_another_model_in_the_same_workdir_is_refused(finished):
  config, workdir = finished
  config = config.copy_and_resolve_references()
  config.model.gated = False
  config.optimizer.name = 'adam'
  with pytest.raises(errors.UserError, match="gated: stored True.* 'muon'"):
    loop.train_and_evaluate(config, str(workdir))


@pytest.mark.slow
def test_init_from_starts_with_other_weights_and_a_fresh_optimiser(
  finished, tmp_path
):
  config, workdir = finished
  params, saved_config, step = trained_model.load_trained(str(workdir))
  path = tmp_path / 'w.safetensors'
  weights_file.save(path, params, saved_config, step=step, dtype='float32')
  config = config.copy_and_resolve_references()
  config.training.num_steps = 1
  for source, name in ((str(workdir), 'a'), (str(path), 'b')):
    config.training.init_from = source
    loop.train_and_evaluate(config, str(tmp_path / name))
  assert_identical(state_of(tmp_path / 'a'), state_of(tmp_path / 'b'))
  state = state_of(tmp_path / 'a')
  assert int(state['step']) == 1
  adam = state['opt_state']['inner_states']['adam']['inner_state']
  assert int(adam['0']['count']) == 1
  moved = jax.tree.map(
    lambda x, y: np.abs(x - y).max(), state['params'], params
  )
  # One step of Adam with a learning rate of 1e-3.
  assert 0 < moved['decoder']['head']['g'] < 1.1e-3
  config.model.decoder_features = 5
  config.training.init_from = str(workdir)
  loop.train_and_evaluate(config, str(tmp_path / 'wider'))
  config.model.decoder_features = 3
  with pytest.raises(errors.RunError, match='`model.decoder_features` must'):
    loop.train_and_evaluate(config, str(tmp_path / 'c'))


@pytest.mark.slow
def test_a_run_with_remat_has_a_finite_loss(folder, tmp_path):
  config = tiny.narrow_config('cifar10', folder)
  config.training.num_steps = 1
  config.model.remat = True
  loop.train_and_evaluate(config, str(tmp_path))
  assert np.isfinite(list(losses(tmp_path).values())).all()


@pytest.mark.slow
def test_sheets_of_samples_cover_every_image_once(finished, tmp_path):
  config, workdir = finished
  params, config, step = trained_model.load_trained(str(workdir))
  config.unlock()
  config.data.test_split = 'train[:11]'
  config.sampling.batch_size = 8
  config.sampling.num_images = -1
  model = run_config.build_model(config)
  paths = list(
    sheets.save(model, params, config, step=step, folder=str(tmp_path))
  )
  assert [path.name[-17:-4] for path in paths] == [
    '000000-000007',
    '000008-000010',
  ]
  assert all(path.exists() for path in paths)


@pytest.mark.slow
def test_evaluation_of_21_images_equals_the_mean_over_single_images(finished):
  _, workdir = finished
  params, config, _ = trained_model.load_trained(str(workdir))
  config.unlock()
  replicated = devices.replicate(params)
  rgb = tiny.images(21, 8, 8)
  config.evaluation.batch_size = 8
  report = likelihood.evaluate(config, replicated, rgb, num_images=-1)
  assert report['num_images'] == 21
  lab = run_config.build_model(config).split_lab(rgb)
  theta, embedding = run_config.build_model(config).apply(
    {'params': params}, lab.luminance, lab.chroma
  )
  for prefix, outputs in (('', theta), ('embedding_', embedding[..., :16])):
    exact = logistic_mixture.log_prob(outputs, lab.luminance_small, lab.chroma)
    paper = logistic_mixture.log_prob_paper(
      outputs, lab.luminance_small, lab.chroma_unrounded
    )
    for name, log_prob in (('', exact), ('_paper', paper)):
      np.testing.assert_allclose(
        report[f'{prefix}bits_per_dim{name}'],
        logistic_mixture.bits_per_dim(log_prob).mean(),
        rtol=1e-5,
      )
  single = [
    likelihood.evaluate(config, replicated, rgb[i : i + 1]) for i in range(21)
  ]
  for name in (
    'bits_per_dim',
    'bits_per_dim_paper',
    'embedding_bits_per_dim',
    'embedding_bits_per_dim_paper',
  ):
    values = [r[name] for r in single]
    np.testing.assert_allclose(report[name], np.mean(values), rtol=1e-6)
    np.testing.assert_allclose(
      report[f'{name}_stderr'], np.std(values, ddof=1) / np.sqrt(21), rtol=1e-4
    )
  np.testing.assert_allclose(
    report['bits_per_image'], report['bits_per_dim'] * 2 * 4 * 4
  )
  assert '21 images' in likelihood.to_text(report)


def send_signal_in(monkeypatch, where, name, number, at=1):
  """Sends the signal `number` to this process in call `at` of `where.name`."""
  original, calls = getattr(where, name), []

  def wrapped(*args, **kwargs):
    calls.append(None)
    if len(calls) == at:
      os.kill(os.getpid(), number)
    return original(*args, **kwargs)

  monkeypatch.setattr(where, name, wrapped)


@pytest.mark.slow
@pytest.mark.parametrize(
  'where,name,number,step',
  [
    (loop, '_compile', signal.SIGTERM, 0),
    (periodic.Periodic, 'report', signal.SIGTERM, 1),
    (periodic.Periodic, 'score', signal.SIGINT, 3),
    (periodic.Periodic, 'draw', signal.SIGTERM, 3),
  ],
)
def test_a_run_stopped_by_a_signal_in_any_phase_resumes_exactly(
  where, name, number, step, finished, tmp_path, monkeypatch
):
  config, uninterrupted = finished
  with monkeypatch.context() as patch:
    send_signal_in(patch, where, name, number)
    with pytest.raises(errors.Stopped, match=f'saved step {step} ') as stop:
      loop.train_and_evaluate(config, str(tmp_path))
  assert stop.value.exit_code == 128 + number
  assert checkpoints.saved_steps(tmp_path)[-1] == step
  loop.train_and_evaluate(config, str(tmp_path))
  assert_identical(state_of(tmp_path), state_of(uninterrupted))


@pytest.mark.slow
@pytest.mark.parametrize(
  'poison_fn,named',
  [
    # Added value and derivative: -inf and NaN; 0 and NaN; inf and 0.
    (lambda x: jax.numpy.log(0 * x), 'gradient of decoder/head'),
    (lambda x: jax.numpy.sqrt(0 * x), 'gradient of decoder/head'),
    (lambda x: jax.lax.stop_gradient(jax.numpy.inf + x), 'only the loss'),
  ],
)
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run_and_is_not_saved(
  poison_fn, named, folder, tmp_path, monkeypatch
):
  original = train_step.loss_fn

  def poisoned(*args):
    def loss_fn(params, *inputs):
      loss, parts = original(*args)(params, *inputs)
      loss += poison_fn(params['decoder']['head']['b'].sum())
      return loss, parts | {'loss': loss}

    return loss_fn

  config = tiny.narrow_config('cifar10', folder)
  config.training.num_steps = 40
  config.training.checkpoint_every_steps = 5
  monkeypatch.setattr(train_step, 'loss_fn', poisoned)
  with pytest.raises(errors.RunError) as error:
    loop.train_and_evaluate(config, str(tmp_path))
  assert re.search(r'step 1\d, .*' + named, str(error.value))
  first, last = (
    state_of(tmp_path, step)
    for step in (5, checkpoints.saved_steps(tmp_path)[-1])
  )
  assert_identical(first['params'], last['params'])
  assert int(first['num_skipped']) == 5 == int(first['skipped_in_row'])
  assert np.isfinite(first['ema_params']['decoder']['head']['b']).all()


def test_out_of_memory_error_names_remedies(folder, tmp_path, monkeypatch):
  def fail(*_, **__):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: 5 GiB')

  monkeypatch.setattr(loop, '_compile', fail)
  config = tiny.narrow_config('cifar10', folder)
  with pytest.raises(errors.RunError, match='batch_size.*remat'):
    loop.train_and_evaluate(config, str(tmp_path))


@pytest.mark.slow
def test_parameters_that_are_not_finite_are_not_saved(folder, tmp_path):
  config = tiny.narrow_config('cifar10', folder)
  net = run_config.build_model(config)
  params = parameters.initial(net, net.split_lab(tiny.images(16, 8, 8)), 0)
  params['embedding']['stage_0']['V'] *= np.nan
  state = train_step.create(params, optimizers.make_optimizer(config))
  with contextlib.closing(
    periodic.Periodic(config, str(tmp_path), net, validation=())
  ) as actions:
    with pytest.raises(errors.RunError, match='embedding/stage_0.*step 0'):
      actions.save(0, devices.replicate(state))
  assert checkpoints.saved_steps(tmp_path) == []


def test_a_wrong_validation_split_ends_the_run_before_its_first_step(
  folder, tmp_path
):
  config = tiny.narrow_config('cifar10', folder)
  config.data.validation_split = 'train[45000:]'
  config.training.eval_every_steps = 3
  with pytest.raises(errors.UserError, match='No images.*45000'):
    loop.train_and_evaluate(config, str(tmp_path))
  assert not (tmp_path / 'config.json').exists()
  assert checkpoints.saved_steps(tmp_path) == []


def test_a_workdir_in_use_is_refused_before_the_data_is_read(
  folder, tmp_path, monkeypatch
):
  config = tiny.narrow_config('cifar10', folder)
  monkeypatch.setattr(input_pipeline, 'open_training', pytest.fail)
  with lock.hold(tmp_path), pytest.raises(errors.RunError, match='in use'):
    loop.train_and_evaluate(config, str(tmp_path))


@pytest.mark.slow
def test_nothing_compiles_after_the_first_step(folder, tmp_path, caplog):
  config = tiny.narrow_config('smoke', folder)
  config.training.eval_every_steps = 1
  config.training.sample_every_steps = 1

  def num_compilations(name: str, num_steps: int) -> int:
    caplog.clear()
    config.training.num_steps = num_steps
    with jax.log_compiles():
      loop.train_and_evaluate(config, str(tmp_path / name))
    return sum('Compiling' in r.getMessage() for r in caplog.records)

  num_compilations('warm', 1)
  one_step = num_compilations('one', 1)
  assert one_step > 2
  assert num_compilations('four', 4) == one_step


@pytest.mark.slow
def test_a_trained_model_scores_alike_in_bfloat16_and_all_methods_agree(
  tmp_path,
):
  config = tiny.config('demo')
  config.data.data_dir = str(pathlib.Path(__file__).parents[2] / 'photos')
  config.training.num_steps = 200
  config.training.eval_every_steps = 0
  config.training.sample_every_steps = 0
  loop.train_and_evaluate(config, str(tmp_path))
  params, config, _ = trained_model.load_trained(str(tmp_path))
  source = input_pipeline.open_test(config)
  bits = {}
  for dtype in ('bfloat16', 'float32'):
    with config.unlocked():
      config.model.dtype = dtype
    report = likelihood.evaluate(
      config, devices.replicate(params), source, num_images=100
    )
    bits[dtype] = report['bits_per_dim']
  assert bits['float32'] < 4.6  # 6.5 at the start, 8 for uniform
  assert 0 < abs(bits['float32'] - bits['bfloat16']) < 0.01

  net = run_config.build_model(config)
  lab = net.split_lab(source[:5])
  keys = jax.random.split(jax.random.key(0), 5)
  naive, cached, parallel = (
    jax.jit(
      lambda method=method: sample.sample_chroma(
        net, params, lab.luminance, keys, method=method
      )
    )()
    for method in ('naive', 'cached', 'parallel')
  )
  np.testing.assert_array_equal(cached, naive)
  np.testing.assert_array_equal(parallel, naive)
