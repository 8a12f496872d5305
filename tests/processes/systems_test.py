"""Disks without locks, systems without fcntl, flags of JAX, `~` in paths."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from PIL import Image

from pic_jax.saved import weights_file
from tests import running, tiny

# Code that Python runs first, to imitate Windows or a disk without locks.
SHIMS = {
  'no fcntl': """
import os, sys
sys.modules['fcntl'] = None
del os.O_NONBLOCK
os.supports_dir_fd.clear()  # otherwise shutil would use O_NONBLOCK
""",
  'no locks': """
import errno, fcntl
def flock(*_):
  raise OSError(errno.ENOLCK, 'No locks available')
fcntl.flock = flock
""",
}
# Flags that a notebook or a cluster may have set for other code.
FLAGS = {
  'JAX_ENABLE_X64': '1',
  'JAX_NUMPY_DTYPE_PROMOTION': 'strict',
  'JAX_DEFAULT_PRNG_IMPL': 'rbg',
}


def environment(tmp_path: pathlib.Path, shim: str = '') -> dict[str, str]:
  """Returns the environment of a process whose home folder is `tmp_path`.

  Args:
    tmp_path: the home folder.
    shim: key of `SHIMS`; '' for the system as it is.
  """
  env = os.environ | {'HOME': str(tmp_path), 'PYTHONPATH': str(running.ROOT)}
  if shim:
    folder = tmp_path / 'shim'
    folder.mkdir(exist_ok=True)
    (folder / 'sitecustomize.py').write_text(SHIMS[shim])
    env['PYTHONPATH'] = f'{folder}{os.pathsep}{running.ROOT}'
  return env


def run(
  cwd: pathlib.Path, *arguments: str, **env: str
) -> subprocess.CompletedProcess:
  """Runs Python in the folder `cwd`."""
  return subprocess.run(
    [sys.executable, *arguments],
    cwd=cwd,
    env=env,
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.mark.slow
def test_colours_are_the_same_on_any_system_and_under_any_flag(tmp_path):
  params, config = tiny.untrained_model()
  weights_file.save(tmp_path / 'w.safetensors', params, config, step=0)
  Image.fromarray(tiny.images(1, 12, 16)[0]).save(tmp_path / 'p.png')
  outputs = []
  for shim, flags in (('', {}), ('no fcntl', FLAGS), ('no locks', {})):
    name = shim or 'plain'
    result = run(
      tmp_path,
      *('-m', 'pic_jax', 'colorize', 'p.png', f'--output=~/{name}'),
      *('--model=~/w.safetensors', '--num-samples=1'),
      **environment(tmp_path, shim) | flags,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert not (tmp_path / '~').exists()
    outputs.append((tmp_path / name / 'p.png.0.png').read_bytes())
  assert outputs[1] == outputs[0] and outputs[2] == outputs[0]


@pytest.mark.slow
def test_training_is_the_same_on_any_system_and_under_any_flag(tmp_path):
  losses = []
  for shim, flags in (('', {}), ('no fcntl', FLAGS), ('no locks', {})):
    workdir = tmp_path / f'{shim or "plain"} lr=0.1,bs=4'
    result = run(
      running.ROOT,
      *('main.py', *running.TRAIN, '--config.training.num_steps=2'),
      f'--workdir=~/{workdir.name}',
      **environment(tmp_path, shim) | flags,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    losses.append([r['loss'] for r in running.records(workdir)])
  assert losses[1] == losses[0] and losses[2] == losses[0]
  result = run(
    running.ROOT,
    *('main.py', '--mode=describe', f'--checkpoint=~/{workdir.name}'),
    f'--output={tmp_path / "about.json"}',
    **environment(tmp_path),
  )
  assert result.returncode == 0, result.stderr[-2000:]
  assert json.loads((tmp_path / 'about.json').read_text())['step'] == 2


def test_training_without_grain_says_what_is_missing(tmp_path):
  folder = tmp_path / 'shim'
  folder.mkdir()
  (folder / 'sitecustomize.py').write_text(
    "import sys\nsys.modules['grain'] = None\n"
  )
  env = environment(tmp_path)
  env['PYTHONPATH'] = f'{folder}{os.pathsep}{running.ROOT}'
  result = run(
    running.ROOT, 'main.py', *running.TRAIN, '--workdir=~/run', **env
  )
  assert result.returncode == 2 and 'Traceback' not in result.stderr
  assert 'needs grain' in result.stderr and 'WSL' in result.stderr
