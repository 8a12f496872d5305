"""Real processes of main.py, for tests that kill, signal and starve them."""

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
  *arguments: str, num_devices: int = 1, door: str = 'main.py', **env: str
) -> subprocess.Popen:
  """Starts main.py, or another script, on simulated CPU devices."""
  flag = f'--xla_force_host_platform_device_count={num_devices}'
  process = subprocess.Popen(
    [sys.executable, '-X', 'faulthandler', *door.split(), *arguments],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flag, 'JAX_PLATFORMS': 'cpu'} | env,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  _started.append(process)
  return process


def stop_all() -> None:
  """Kills what still runs and closes pipes, also those of ended processes.

  So a failed test disturbs no other.
  """
  while _started:
    process = _started.pop()
    process.kill()  # Does nothing to a process that has ended.
    for pipe in (process.stdout, process.stderr):
      if pipe is not None:
        pipe.close()
    process.wait()


def run(*arguments: str, code: int = 0, **kwargs: Any) -> tuple[list[str], str]:
  """Runs a script to its end; returns the lines of stdout, and stderr."""
  return finish(start(*arguments, **kwargs), code)


def finish(process: subprocess.Popen, code: int = 0) -> tuple[list[str], str]:
  """Waits for a process; returns the lines of stdout, and stderr."""
  stdout, stderr = process.communicate(timeout=600)
  assert process.returncode == code, stderr[-3000:]
  # XLA's CPU backend prints its connections, marked '[Gloo]'.
  lines = stdout.splitlines()
  return [line for line in lines if not line.startswith('[Gloo]')], stderr


def records(workdir: pathlib.Path) -> list[dict]:
  """Whole lines of metrics.jsonl, which may grow while it is read."""
  path = workdir / 'metrics.jsonl'
  text = path.read_text() if path.exists() else ''
  lines = text[: text.rfind('\n') + 1].splitlines()
  return [json.loads(line) for line in lines if line]


def steps(workdir: pathlib.Path) -> list[int]:
  """Steps that were logged, some of them more than once."""
  return [record['step'] for record in records(workdir) if 'loss' in record]


def wait_until(
  condition: Callable[[], bool], *processes: subprocess.Popen
) -> None:
  """Returns when a condition holds, or one of the processes has ended."""
  deadline = time.monotonic() + 400
  while not condition() and all(x.poll() is None for x in processes):
    if time.monotonic() > deadline:
      for process in processes:
        process.send_signal(signal.SIGABRT)  # tells where its threads are
      told = [x.communicate()[1][-6000:] for x in processes]
      raise AssertionError('\n\n'.join(told))
    time.sleep(0.002)


def digests_of(workdir: pathlib.Path) -> tuple[int, dict[str, str]]:
  """Step, and sha256 of parameters, average and optimiser."""
  tree, _, step = trained_model.load(str(workdir))
  return step, digests.digest_state(tree)
