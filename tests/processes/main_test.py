"""The command line of main.py: modes, exit codes and errors of one line."""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

import pytest

from pic_jax.saved import trained_model, weights_file

ROOT = pathlib.Path(__file__).parents[2]
SMOKE = '--config=configs/smoke.py'
FAST = [
  '--config.training.eval_every_steps=0',
  '--config.training.sample_every_steps=0',
  '--config.training.log_every_steps=1',
]


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess:
  """Runs main.py on one plain CPU device."""
  env = os.environ | {'XLA_FLAGS': '', 'JAX_PLATFORMS': 'cpu'} | env
  return subprocess.run(
    [sys.executable, 'main.py', *arguments],
    cwd=ROOT,
    env=env,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


def core_seconds() -> float:
  """Returns user plus system time of all finished child processes."""
  usage = resource.getrusage(resource.RUSAGE_CHILDREN)
  return usage.ru_utime + usage.ru_stime


def test_help_is_quick_and_lists_the_modes():
  start = time.perf_counter()
  result = run('--help')
  # It takes 2 s on an idle machine, because jax is not imported.
  assert time.perf_counter() - start < 5
  assert '<train|eval|sample|' in result.stdout + result.stderr


@pytest.mark.parametrize(
  'arguments,text',
  [
    (['--mode=trane', SMOKE], 'mode'),
    (['--wrokdir=x', SMOKE], 'wrokdir'),
    (['--mode=eval', '--workdir=x', '--config.data.name=y'], '--config=FILE'),
    ([SMOKE, '--config.modle.gated=False'], 'model'),
    ([SMOKE, '--workdir=gs://b/w'], '--workdir'),
    ([SMOKE, '--workdir={tmp}/w', '--profile_steps=5:2'], 'was removed'),
    ([SMOKE, '--workdir={tmp}/w', '--distributed'], '--distributed'),
    (['--config=configs/trained.py:none', '--mode=sample'], 'cifar10, photos'),
    (
      [SMOKE, '--workdir={tmp}/w', '--config.training.accumulation_steps=7'],
      '--config.model.remat=True',
    ),
    ([SMOKE, '--config.data.chroma_filter=area'], 'model.chroma_filter'),
    ([SMOKE, '--config.evaluation.num_images=9'], '--num_images'),
    (['train'], 'train'),
    (['--config=configs/none.py'], 'configs/none.py'),
    ([SMOKE], '--workdir'),
    (['--workdir={tmp}/w'], '--config'),
    ([SMOKE, '--config.training.batchsize=3'], 'batchsize'),
    ([SMOKE, '--config.training.batch_size=x'], 'batch_size'),
    ([SMOKE, '--workdir={tmp}/w', '--config.optimizer.b1=nan'], 'b1'),
    ([SMOKE, '--workdir={tmp}/w', '--config.data.data_dir=none'], 'data_dir'),
    (['--config={tmp}/typo.py', '--workdir={tmp}/w'], 'bach_size'),
    (['--mode=eval'], '--checkpoint'),
    (['--mode=benchmark'], '--config'),
    (['--mode=sample', '--checkpoint=a,b'], 'one --checkpoint, got a,b'),
    (['--mode=figures', '--checkpoint=a,'], "got ''"),
    (['--mode=figures', '--checkpoint=gs://a'], 'gcsfuse'),
    (['--mode=eval', '--checkpoint=photos', '--output={tmp}'], 'a file'),
    (
      ['--mode=figures', '--figure=grid'],
      '--figure was removed. Use --mode=figures',
    ),
    (
      ['--mode=eval', '--metrics=all'],
      '--metrics was removed. Use --num_sampled',
    ),
    (['--mode=export', '--workdir={tmp}'], '--output'),
    (
      ['--mode=export', '--checkpoint=photos', '--output={tmp}/typo.py'],
      'typo.py exists',
    ),
    (
      ['--mode=export', '--checkpoint=photos']
      + ['--output={tmp}/config.safetensors'],
      'config.json exists',
    ),
  ],
)
def test_a_users_mistake_is_one_line_and_exit_2(arguments, text, tmp_path):
  (tmp_path / 'config.json').touch()
  (tmp_path / 'typo.py').write_text(
    'from configs import smoke\n'
    'def get_config():\n'
    '  config = smoke.get_config()\n'
    '  config.training.bach_size = 3\n'
    '  return config\n'
  )
  before = core_seconds()
  result = run(*(argument.format(tmp=tmp_path) for argument in arguments))
  assert core_seconds() - before < 5  # wall time would depend on other tests
  assert result.returncode == 2, result.stderr
  lines = [line for line in result.stderr.splitlines() if 'pic_jax:' in line]
  assert len(lines) == 1 and text in lines[0]
  assert 'Traceback' not in result.stderr
  assert not (tmp_path / 'w' / 'config.json').exists()


@pytest.mark.parametrize('platform', ['cuda', 'none'])
def test_a_missing_device_is_one_line_and_exit_2(platform):
  if platform == 'cuda' and pathlib.Path('/dev/nvidiactl').exists():
    pytest.skip('this machine has the device')
  result = run('--mode=describe', SMOKE, JAX_PLATFORMS=platform)
  assert result.returncode == 2
  last = result.stderr.splitlines()[-1]
  assert last.startswith(f'pic_jax: JAX_PLATFORMS={platform}: ')
  assert 'Traceback' not in result.stderr


@pytest.mark.parametrize('source', ['{tmp}', '{tmp}@3', '{tmp}/w.safetensors'])
def test_a_missing_model_is_one_line_and_exit_1(source, tmp_path):
  result = run('--mode=eval', f'--checkpoint={source.format(tmp=tmp_path)}')
  assert result.returncode == 1
  assert 'Traceback' not in result.stderr
  assert 'pic_jax:' in result.stderr and str(tmp_path) in result.stderr


@pytest.mark.slow
def test_train_resume_eval_sample_and_export_from_the_command_line(tmp_path):
  workdir = f'--workdir={tmp_path / "run"}'
  first = run(SMOKE, workdir, *FAST, '--config.training.num_steps=6')
  assert first.returncode == 0, first.stderr
  again = run(SMOKE, workdir, *FAST, '--config.training.num_steps=12')
  assert again.returncode == 0, again.stderr
  assert 'at step 6' in again.stderr and 'step 7/12' in again.stderr

  report = tmp_path / 'report.json'
  result = run('--mode=eval', workdir, f'--output={report}')
  assert result.returncode == 0, result.stderr
  values = json.loads(report.read_text())
  assert values['step'] == 12 and values['num_images'] > 100
  assert f'{values["bits_per_dim"]:.4f}' in result.stdout
  assert 3 < values['bits_per_dim_paper'] < 8

  result = run('--mode=sample', workdir, f'--output={tmp_path}')
  assert result.returncode == 0, result.stderr
  grid = pathlib.Path(result.stdout.strip())
  assert grid.is_file() and grid.parent == tmp_path / 'samples'

  weights = tmp_path / 'w.safetensors'
  assert run('--mode=export', workdir, f'--output={weights}').returncode == 0
  result = run('--mode=eval', f'--checkpoint={weights}')
  found = re.search(r'decoder: ([\d.]+)', result.stdout)
  assert abs(float(found[1]) - values['bits_per_dim']) < 0.01


@pytest.mark.slow
def test_an_exported_file_names_no_folder_of_this_machine(tmp_path):
  params, config, step = trained_model.load_trained('cifar10')
  with config.unlocked():
    config.training.init_from = f'{tmp_path}/first@7,{tmp_path}/second'
    config.data.data_dir = str(tmp_path / 'mine')
    config.data.mixture = ((0.5, 'array', str(tmp_path / 'more'), 'train'),)
  mine, exported = tmp_path / 'mine.safetensors', tmp_path / 'out.safetensors'
  weights_file.save(mine, params, config, step=step)
  result = run(
    '--mode=export',
    f'--checkpoint={mine}',
    f'--output={exported}',
    '--recommend=temperature=0.7,guidance=0.2',
  )
  assert result.returncode == 0, result.stderr
  assert str(tmp_path).encode() not in exported.read_bytes()
  config = trained_model.load_config(str(exported))
  assert config.training.init_from == 'first@7,second'
  found = trained_model.load_recommended(str(exported))
  assert (found.temperature, found.guidance) == (0.7, 0.2)
  assert config.data.data_dir == 'mine'
  assert config.data.mixture == ((0.5, 'array', 'more', 'train'),)


@pytest.mark.slow
def test_describe_and_resuming_with_a_changed_config(tmp_path):
  workdir = tmp_path / 'run'
  common = [SMOKE, f'--workdir={workdir}', *FAST]
  result = run(*common, '--config.training.num_steps=3')
  assert result.returncode == 0, result.stderr
  assert '24,520 parameters' in result.stderr  # described before compiling
  assert 'learning rate 0.002' in result.stderr
  assert 'last checkpoint 3' not in result.stderr

  report = tmp_path / 'report.json'
  result = run(
    '--mode=describe', f'--checkpoint={workdir}', f'--output={report}'
  )
  assert result.returncode == 0, result.stderr
  before = json.loads(report.read_text())
  assert before['step'] == 3 and before['num_parameters'] == 24_520
  assert before['checkpoint_bytes'] == 16 * 24_520
  assert sorted(before['sha256']) == ['ema_params', 'opt_state', 'params']
  for digest in before['sha256'].values():
    assert digest in result.stdout

  result = run(
    *common,
    '--config.training.num_steps=4',
    '--config.optimizer.learning_rate=0.001',
  )
  assert 'optimizer.learning_rate' in result.stderr
  records = (workdir / 'metrics.jsonl').read_text().splitlines()
  changes = [json.loads(line).get('config_changes') for line in records]
  assert {
    'optimizer.learning_rate': [0.002, 0.001],
    'training.num_steps': [3, 4],
  } in changes
  result = run(
    '--mode=describe', f'--checkpoint={workdir}', f'--output={report}'
  )
  after = json.loads(report.read_text())
  assert after['step'] == 4
  for name, digest in after['sha256'].items():
    assert digest != before['sha256'][name]
