"""Runs of two connected processes, with two simulated devices each."""

import json
import pathlib
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from pic_jax.saved import checkpoints
from tests import running

pytestmark = pytest.mark.slow
HEARTBEAT = 10  # seconds, as in quick_heartbeat.py
ENTRY_POINT = '-m tests.processes.quick_heartbeat'
TRAIN = [
  *running.TRAIN,
  '--config.model.dropout_rate=0.5',
  '--config.training.batch_size=8',
]


def start(
  num_processes: int, *arguments: str, **options: str
) -> list[subprocess.Popen]:
  """Starts main.py in processes that share four devices."""
  if num_processes == 1:
    return [running.start(*arguments, num_devices=4, **options)]
  with socket.socket() as server:
    server.bind(('localhost', 0))
    port = server.getsockname()[1]
  return [
    running.start(
      *arguments,
      num_devices=4 // num_processes,
      JAX_COORDINATOR_ADDRESS=f'localhost:{port}',
      JAX_NUM_PROCESSES=str(num_processes),
      JAX_PROCESS_ID=str(index),
      **{'entry_point': ENTRY_POINT} | options,
    )
    for index in range(num_processes)
  ]


def finish(processes: list[subprocess.Popen]) -> list[list[str]]:
  """Waits for all processes; returns the lines of stdout of each."""
  return [running.finish(process)[0] for process in processes]


def count(text: str, outputs: list[list[str]]) -> list[int]:
  """Counts the lines of each process that contain a text.

  The other lines may be torn messages of Gloo, which `running.finish` keeps.
  """
  return [sum(text in line for line in output) for output in outputs]


def wait_for_step(
  workdir: pathlib.Path, step: int, processes: list[subprocess.Popen]
) -> None:
  """Waits until a run has logged this step or a process has ended."""
  running.wait_until(lambda: step in running.steps(workdir), *processes)


def losses(workdir: pathlib.Path) -> list[float]:
  return [record['loss'] for record in running.records(workdir)]


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """Workdirs of the same training run, by one process and by two."""
  folder = tmp_path_factory.mktemp('runs')
  for number in (1, 2):
    workdir = folder / str(number)
    finish(
      start(
        number, *TRAIN, f'--workdir={workdir}', '--config.training.num_steps=4'
      )
    )
  return folder / '1', folder / '2'


def test_two_processes_have_the_losses_of_one(runs):
  one, two = (losses(workdir) for workdir in runs)
  assert len(one) == 4
  np.testing.assert_allclose(one, two, atol=1e-5)
  assert checkpoints.saved_steps(runs[1]) == checkpoints.saved_steps(runs[0])


def test_two_processes_evaluate_and_sample_like_one(runs, tmp_path):
  reports, grids = [], []
  for number in (1, 2):
    report = tmp_path / f'{number}.json'
    common = ['--config=configs/smoke.py', f'--checkpoint={runs[0]}']
    outputs = finish(
      start(
        number,
        '--mode=eval',
        *common,
        f'--output={report}',
        '--num_images=21',
        '--config.evaluation.batch_size=8',
        '--num_sampled_images=5',
        '--config.sampling.batch_size=4',
      )
    )
    # Only the first process prints.
    assert count('bits per image', outputs) == [1, 0][:number]
    reports.append(json.loads(report.read_text()))
    outputs = finish(
      start(
        number,
        '--mode=sample',
        *common,
        f'--output={tmp_path / str(number)}',
        '--config.sampling.num_images=5',
        '--config.sampling.batch_size=4',
      )
    )
    assert count('.png', outputs) == [2, 0][:number]
    files = sorted((tmp_path / str(number)).rglob('*.*'))
    grids.append({path.name: np.asarray(Image.open(path)) for path in files})
  assert reports[0]['num_images'] == reports[1]['num_images'] == 21
  assert len(reports[0]['pit_a']) == 20 and 'energy_score' in reports[0]
  for name, value in reports[0].items():
    if isinstance(value, float | list):
      np.testing.assert_allclose(reports[1][name], value, rtol=1e-6)
  assert len(grids[0]) == 2 and grids[0].keys() == grids[1].keys()
  for name, picture in grids[0].items():
    np.testing.assert_array_equal(grids[1][name], picture)


def test_a_signal_to_one_process_saves_the_same_step_in_both(tmp_path):
  arguments = [*TRAIN, f'--workdir={tmp_path}']
  processes = start(2, *arguments, '--config.training.num_steps=100000')
  wait_for_step(tmp_path, 3, processes)
  processes[1].send_signal(signal.SIGTERM)
  lines = [
    running.finish(process, code=143)[1].splitlines()[-1]
    for process in processes
  ]
  assert lines[0] == lines[1] and 'to resume' in lines[0]
  (step,) = checkpoints.saved_steps(tmp_path)[-1:]
  assert f'saved step {step} ' in lines[0]


def test_a_killed_process_ends_the_other_and_both_resume(tmp_path):
  arguments = [
    *TRAIN,
    f'--workdir={tmp_path}',
    '--config.training.checkpoint_every_steps=2',
  ]
  processes = start(2, *arguments, '--config.training.num_steps=100000')
  wait_for_step(tmp_path, 5, processes)
  processes[1].kill()
  killed = time.monotonic()
  processes[0].communicate(timeout=HEARTBEAT + 10)
  processes[1].communicate()
  assert time.monotonic() - killed < HEARTBEAT + 10
  assert processes[0].returncode != 0
  saved = checkpoints.saved_steps(tmp_path)
  assert saved
  last = saved[-1] + 4
  finish(start(2, *arguments, f'--config.training.num_steps={last}'))
  assert checkpoints.saved_steps(tmp_path)[-1] == last
  assert running.steps(tmp_path)[-1] == last


def test_processes_wait_for_a_process_that_is_35_seconds_late():
  """Without `devices.check`, the first collective gives up after 30 s."""
  script = (
    'import sys, time, jax, numpy as np\n'
    'from pic_jax.runtime import devices, distributed\n'
    'distributed.connect(None)\n'
    'devices.check()\n'
    'if jax.process_index():\n'
    '  time.sleep(35)\n'
    'ones = np.ones(jax.local_device_count())\n'
    'print(devices.fetch(devices.pmap(devices.mean)(ones)))\n'
    'print(*devices.gather(devices.broadcast(ones)))\n'
    'distributed.disconnect()\n'
  )
  outputs = finish(start(2, script, entry_point='-c'))
  assert outputs == [['1.0', '1.0 1.0 1.0 1.0']] * 2
