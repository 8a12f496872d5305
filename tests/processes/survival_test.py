"""Runs that are killed or signalled, fill the disk, or change devices."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from pic_jax.saved import checkpoints
from pic_jax.training import run_log
from tests import running, tiny

# Number of kills in each `kill_9` test; `make soak` sets 30.
NUM_KILLS = int(os.environ.get('PIC_JAX_NUM_KILLS', '8'))
STEPS_PER_KILL = 20  # largest number of new steps before a kill
SAVE_EVERY = 5  # steps


def unfinished(workdir: pathlib.Path) -> set[tuple[str, int]]:
  """Returns names and inodes of unfinished checkpoints.

  After a restart, Orbax may delete them at any time.
  """
  found = set()
  for path in workdir.glob('checkpoints/*tmp*'):
    with contextlib.suppress(FileNotFoundError):
      found.add((path.name, path.stat().st_ino))
  return found


def kill_when_due(
  process: subprocess.Popen,
  workdir: pathlib.Path,
  kind: str,
  rng: random.Random,
) -> bool:
  """Kills a run at a random time of the given kind.

  Args:
    process: the run.
    workdir: its workdir.
    kind: 'start-up' to kill it after 0.3 to 6 s, 'step' after some new steps,
      'save' when it saves the next checkpoint after some new steps.
    rng: source of the random time or number of steps.

  Returns:
    Whether the run was saving a checkpoint.
  """
  before = unfinished(workdir)
  if kind == 'start-up':
    seconds = rng.uniform(0.3, 6)
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(seconds)
  else:
    target = len(running.steps(workdir)) + rng.randint(
      SAVE_EVERY + 1, STEPS_PER_KILL
    )
    running.wait_until(lambda: len(running.steps(workdir)) >= target, process)
    if kind == 'save':
      running.wait_until(lambda: bool(unfinished(workdir) - before), process)
  process.kill()
  process.communicate()
  return bool(unfinished(workdir) - before)


@pytest.mark.slow
def test_kill_9_changes_nothing(tmp_path):
  """A fifth of the kills hit start-up, and about a quarter hit a save."""
  rng = random.Random(NUM_KILLS)
  arguments = [
    *running.TRAIN,
    f'--config.training.num_steps={STEPS_PER_KILL * NUM_KILLS // 2 + 30}',
    f'--config.training.checkpoint_every_steps={SAVE_EVERY}',
  ]
  running.run(*arguments, f'--workdir={tmp_path / "whole"}')
  expected = {r['step']: r for r in running.records(tmp_path / 'whole')}

  workdir = tmp_path / 'killed'
  kinds = ['step', 'save', 'start-up', 'save', 'step'] * NUM_KILLS
  restarts = during_save = kills = 0
  for kind in kinds[:NUM_KILLS]:
    process = running.start(*arguments, f'--workdir={workdir}')
    during_save += kill_when_due(process, workdir, kind, rng)
    kills += process.returncode == -signal.SIGKILL
    restarts += bool(checkpoints.saved_steps(workdir))
  running.run(*arguments, f'--workdir={workdir}')

  print(f'{kills} kills, {restarts} restarts, {during_save} during a save')
  assert kills == NUM_KILLS
  assert restarts >= NUM_KILLS // 2 and during_save >= NUM_KILLS // 6
  actual = [r for r in running.records(workdir) if 'loss' in r]
  assert len(actual) > len(expected)  # some steps were done again
  for record in actual:
    assert record['loss'] == expected[record['step']]['loss']
  whole = running.digests_of(tmp_path / 'whole')
  assert running.digests_of(workdir) == whole


# Text of the line with which each phase of a run begins.
PHASES = {
  'compile': 'MB free',
  'step': 'step 2/',
  'evaluate': 'step 3/',
  'sample': 'validation',
}


@pytest.mark.slow
@pytest.mark.parametrize('phase', PHASES)
def test_sigterm_in_any_phase_saves_within_30_seconds(phase, tmp_path):
  """The signal comes 0.2 s after the line with which the phase begins."""
  every = 3 if phase in ('evaluate', 'sample') else 0
  process = running.start(
    *running.TRAIN,
    f'--workdir={tmp_path}',
    '--config.training.num_steps=100000',
    # Only the signal causes a save. Otherwise an idle machine may reach another
    # save within 0.2 s.
    '--config.training.checkpoint_every_steps=100000',
    f'--config.training.eval_every_steps={every}',
    f'--config.training.sample_every_steps={every}',
    '--config.sampling.method=naive',
    '--config.sampling.num_samples=200',  # outlasts delays of a busy machine
  )
  for line in process.stderr:
    if PHASES[phase] in line:
      break
  time.sleep(0.2)
  process.send_signal(signal.SIGTERM)
  start = time.monotonic()
  _, stderr = running.finish(process, code=143)
  assert time.monotonic() - start < 30
  (step,) = checkpoints.saved_steps(tmp_path)
  last = stderr.splitlines()[-1]
  assert f'SIGTERM: saved step {step} ' in last and 'resume' in last
  assert (step == 0) == (phase == 'compile')
  if every:
    assert step == 3


@contextlib.contextmanager
def mounted(folder: pathlib.Path, options: str) -> Iterator[None]:
  """Mounts a tmpfs; skips the test if this user may not mount."""
  command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)]
  if subprocess.run(command, capture_output=True, check=False).returncode:
    pytest.skip('mounting is not allowed')
  try:
    yield
  finally:
    subprocess.run(['umount', '-l', str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_keeps_older_checkpoints(tmp_path):
  with mounted(tmp_path, 'size=4m'):
    workdir = tmp_path / 'run'
    arguments = [
      *running.TRAIN,
      f'--workdir={workdir}',
      '--config.training.checkpoint_every_steps=5',
      '--config.training.num_checkpoints=100',
    ]
    _, stderr = running.run(
      *arguments, '--config.training.num_steps=500', code=1
    )
    assert 'Traceback' not in stderr
    last = stderr.splitlines()[-1]
    assert str(tmp_path) in last and 'full' in last
    saved = checkpoints.saved_steps(workdir)
    assert len(saved) >= 2
    for step in saved:
      checkpoints.restore(str(workdir), step)
    assert max(running.steps(workdir)) <= saved[-1] + 2 * 5


def test_writing_the_log_to_a_full_disk_raises_an_error_with_the_path(tmp_path):
  with mounted(tmp_path, 'size=256k'):
    (tmp_path / 'filler').write_bytes(bytes(200_000))
    log = run_log.Log(str(tmp_path))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with pytest.raises(OSError, match=f'No space left.*{tmp_path}'):
      for step in range(100):
        log.picture(step, 'noise', noise)
    (tmp_path / 'filler').unlink()
    log.close()


@pytest.mark.slow
def test_a_read_only_disk_is_refused_before_compiling(tmp_path):
  with mounted(tmp_path, 'size=4m,ro'):
    _, stderr = running.run(
      *running.TRAIN, f'--workdir={tmp_path / "run"}', code=1
    )
    assert 'Traceback' not in stderr and 'Compiled' not in stderr
    assert str(tmp_path / 'run') in stderr.splitlines()[-1]


# Restores the state of the workdir argv[1]. Prints its digests and its bits/dim
# on 50 test images.
FIRST_STATE = """
import json, sys
from configs import smoke
from pic_jax.data import input_pipeline
from pic_jax.evaluation import likelihood as evaluate
from pic_jax.runtime import devices
from pic_jax.saved import digests, run_config
from pic_jax.training import optimizers, start
import flax.serialization
config, workdir = smoke.get_config(), sys.argv[1]
training = input_pipeline.open_training(config.data)
source = input_pipeline.open_test(config)
net = run_config.build_model(config)
optimizer = optimizers.make_optimizer(config)
state = start.first_state(
  config, workdir, net, optimizer=optimizer, training=training
)
state = devices.replicate(state)
tree = flax.serialization.to_state_dict(devices.fetch(state))
report = evaluate.evaluate(
  config, state.ema_params, source, num_images=50
)
print(json.dumps([digests.digest_state(tree), report['bits_per_dim']]))
"""


@pytest.mark.slow
def test_a_run_moves_from_eight_devices_to_four_and_then_to_one(tmp_path):
  workdir = f'--workdir={tmp_path}'
  steps = '--config.training.num_steps={}'.format
  running.run(*running.TRAIN, workdir, steps(4), num_devices=8)
  _, saved = running.digests_of(tmp_path)
  bits = []
  for count in (8, 4, 1):
    flag = f'--xla_force_host_platform_device_count={count}'
    result = subprocess.run(
      [sys.executable, '-c', FIRST_STATE, str(tmp_path)],
      cwd=running.ROOT,
      env=os.environ | {'XLA_FLAGS': flag, 'JAX_PLATFORMS': 'cpu'},
      stdout=subprocess.PIPE,
      text=True,
      check=True,
    )
    digests, value = json.loads(result.stdout.splitlines()[-1])
    assert digests == saved
    bits.append(value)
  np.testing.assert_allclose(bits, bits[0], atol=1e-6)
  for count, last in ((4, 6), (1, 8)):
    _, stderr = running.run(
      *running.TRAIN, workdir, steps(last), num_devices=count
    )
    assert f'at step {last - 2}.' in stderr
  assert running.steps(tmp_path) == list(range(1, 9))


@pytest.mark.slow
def test_kill_9_changes_nothing_if_pictures_are_damaged(tmp_path, monkeypatch):
  """Kills come at any time; three of 40 pictures cannot be read."""
  rng = random.Random(NUM_KILLS)
  tiny.write_folder(tmp_path / 'pictures', 40, size=(40, 36))
  for index in (3, 17, 30):
    path = tmp_path / 'pictures' / f'{index:03d}.png'
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  arguments = [
    *running.TRAIN,
    '--config.data.name=folder',
    f'--config.data.data_dir={tmp_path / "pictures"}',
    '--config.data.train_split=all',
    f'--config.training.num_steps={STEPS_PER_KILL * NUM_KILLS // 2 + 30}',
    f'--config.training.checkpoint_every_steps={SAVE_EVERY}',
  ]
  # As if the folder did not fit into memory: pictures are read at each step.
  script = tmp_path / 'large.py'
  script.write_text(
    'import runpy, sys\n'
    'from pic_jax.data import input_pipeline\n'
    'input_pipeline.MEMORY_LIMIT_BYTES = 0\n'
    "sys.argv[0] = 'main.py'\n"
    "runpy.run_path('main.py', run_name='__main__')\n"
  )
  monkeypatch.setenv('PYTHONPATH', str(running.ROOT))
  _, stderr = running.run(
    *arguments, f'--workdir={tmp_path / "whole"}', entry_point=str(script)
  )
  assert stderr.count('takes its place') == 3
  workdir = tmp_path / 'killed'
  kinds = ['step', 'save', 'start-up', 'step', 'step'] * NUM_KILLS
  for kind in kinds[:NUM_KILLS]:
    process = running.start(
      *arguments, f'--workdir={workdir}', entry_point=str(script)
    )
    kill_when_due(process, workdir, kind, rng)
    assert process.returncode == -signal.SIGKILL
  running.run(*arguments, f'--workdir={workdir}', entry_point=str(script))
  assert running.digests_of(workdir) == running.digests_of(tmp_path / 'whole')
