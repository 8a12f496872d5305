"""Processes of main.py and other commands, for tests that may kill them."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from pic_jax.saved import digests, trained_model

ROOT = pathlib.Path(__file__).parents[1]
# A run of the smallest config that logs every step.
TRAIN = [
  '--config=configs/smoke.py',
  '--config.training.log_every_steps=1',
  '--config.training.eval_every_steps=0',
  '--config.training.sample_every_steps=0',
]
# Processes that the current test has started, for `stop_all`.
_started = []


def start(
  *arguments: str,
  num_devices: int = 1,
  entry_point: str = 'main.py',
  **env: str,
) -> subprocess.Popen:
  """Starts main.py, or another entry point, on simulated CPU devices.

  Args:
    *arguments: arguments of the entry point.
    num_devices: number of simulated devices.
    entry_point: script, or text such as '-m module' or '-c'; arguments of
      Python, separated by spaces.
    **env: additional environment variables.
  """
  flag = f'--xla_force_host_platform_device_count={num_devices}'
  process = subprocess.Popen(
    [sys.executable, '-X', 'faulthandler', *entry_point.split(), *arguments],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flag, 'JAX_PLATFORMS': 'cpu'} | env,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  _started.append(process)
  return process


def stop_all() -> None:
  """Kills processes that still run, and closes the pipes of all processes.

  So a failed test does not disturb other tests.
  """
  while _started:
    process = _started.pop()
    process.kill()  # does nothing to a process that has ended
    for pipe in (process.stdout, process.stderr):
      if pipe is not None:
        pipe.close()
    process.wait()


def run(*arguments: str, code: int = 0, **kwargs: Any) -> tuple[list[str], str]:
  """Starts a process and waits for it; see `start` and `finish`."""
  return finish(start(*arguments, **kwargs), code)


def finish(process: subprocess.Popen, code: int = 0) -> tuple[list[str], str]:
  """Waits for a process, and checks its exit code.

  Returns:
    The lines of stdout, and the text of stderr.
  """
  stdout, stderr = process.communicate(timeout=600)
  assert process.returncode == code, stderr[-3000:]
  # The CPU backend prints its connections in lines that begin with '[Gloo]'.
  lines = stdout.splitlines()
  return [line for line in lines if not line.startswith('[Gloo]')], stderr


def records(workdir: pathlib.Path) -> list[dict]:
  """Reads the complete lines of metrics.jsonl, which a run may be writing."""
  path = workdir / 'metrics.jsonl'
  text = path.read_text() if path.exists() else ''
  lines = text[: text.rfind('\n') + 1].splitlines()
  return [json.loads(line) for line in lines if line]


def steps(workdir: pathlib.Path) -> list[int]:
  """Returns the logged steps; a resumed run may log some of them again."""
  return [record['step'] for record in records(workdir) if 'loss' in record]


def wait_until(
  condition: Callable[[], bool], *processes: subprocess.Popen
) -> None:
  """Waits until a condition holds or one of the processes has ended.

  Raises:
    AssertionError: after 400 s, with the stacks of all threads.
  """
  deadline = time.monotonic() + 400
  while not condition() and all(x.poll() is None for x in processes):
    if time.monotonic() > deadline:
      for process in processes:
        process.send_signal(signal.SIGABRT)  # faulthandler prints the stacks
      stacks = [x.communicate()[1][-6000:] for x in processes]
      raise AssertionError('\n\n'.join(stacks))
    time.sleep(0.002)


def digests_of(workdir: pathlib.Path) -> tuple[int, dict[str, str]]:
  """Returns step and sha256 of parameters, their average and the optimiser."""
  tree, _, step = trained_model.load(str(workdir))
  return step, digests.digest_state(tree)
