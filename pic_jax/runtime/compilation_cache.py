"""Persistent cache of compiled programs: later starts are quick."""

import contextlib
import glob
import hashlib
import os
import pathlib
from collections.abc import Iterator

from pic_jax.runtime import terminal

FOLDER = pathlib.Path('~/.cache/pic_jax').expanduser()
MAX_BYTES = 1 << 30
VARIABLE = 'JAX_COMPILATION_CACHE_DIR'
XLA_FLAGS = '--xla_backend_optimization_level=1'
ACCELERATORS = ('/dev/nvidia[0-9]*', '/dev/kfd', '/dev/accel*', '/dev/vfio/*')
_used: set[str] = set()


def enable() -> None:
  """Turns the cache on, unless the user has configured one, and prunes it."""
  import jax

  if os.environ.get(VARIABLE) or jax.config.jax_compilation_cache_dir:
    return
  jax.config.update('jax_compilation_cache_dir', str(FOLDER))
  prune(FOLDER, MAX_BYTES)


def compile_quickly() -> None:
  """Asks XLA for less optimisation, where there are only CPUs.

  The first photograph takes two seconds less to compile, each drawing a tenth
  longer. Must be called before JAX starts; the user's own flags are kept.
  """
  if 'XLA_FLAGS' not in os.environ and not any(map(glob.glob, ACCELERATORS)):
    os.environ['XLA_FLAGS'] = XLA_FLAGS


@contextlib.contextmanager
def first_use(program: str, text: str) -> Iterator[None]:
  """Prints a line if a program was never compiled on this machine.

  Args:
    program: names everything that the program depends on.
    text: for the person who waits.
  """
  import jax

  if program in _used:
    yield
    return
  name = hashlib.sha256(f'{jax.__version__} {program}'.encode()).hexdigest()
  folder = jax.config.jax_compilation_cache_dir
  mark = pathlib.Path(folder) / f'used_{name[:16]}' if folder else None
  if mark is None or not mark.exists():
    terminal.say(text)
  yield
  _used.add(program)
  if mark is not None:
    with contextlib.suppress(OSError):  # it may only be read
      mark.touch()


def prune(folder: pathlib.Path, max_bytes: int) -> None:
  """Deletes the files read longest ago, until the rest is small enough."""
  try:
    files = [(path, path.stat()) for path in folder.glob('*')]
    files.sort(key=lambda item: max(item[1].st_atime, item[1].st_mtime))
    total = sum(stat.st_size for _, stat in files)
    for path, stat in files:
      if total <= max_bytes:
        break
      path.unlink(missing_ok=True)
      total -= stat.st_size
  except OSError:
    return  # another process prunes it, or the disk is read-only
