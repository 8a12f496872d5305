"""JAX's cache of compiled programs on disk, which makes later starts quick."""

import contextlib
import glob
import hashlib
import os
import pathlib
from collections.abc import Iterator
from importlib import metadata

from pic_jax.runtime import terminal

FOLDER = pathlib.Path(os.path.expanduser('~'), '.cache', 'pic_jax')
# Size of the cache above which old files are deleted.
MAX_BYTES = 1 << 30
# JAX's option that holds the folder of the cache.
OPTION = 'jax_compilation_cache_dir'
# Environment variable with which a user chooses another folder.
VARIABLE = 'JAX_COMPILATION_CACHE_DIR'
# JAX keeps a program if compiling it took at least this many seconds. With the
# default of JAX, 1, a quick machine would compile the same programs at every
# start.
MIN_SECONDS = 0.1
MIN_SECONDS_OPTION = 'jax_persistent_cache_min_compile_time_secs'
# Flags that `prefer_fast_compilation` sets. XLA ends the process at a flag that
# it does not know. So `OLD_EMITTERS` is set only if the version of jaxlib
# begins with a prefix in `HAS_OLD_EMITTERS`.
XLA_FLAGS = '--xla_backend_optimization_level=1'
OLD_EMITTERS = '--xla_cpu_use_fusion_emitters=false'
HAS_OLD_EMITTERS = ('0.10.',)
# Device files that show that there is an accelerator.
ACCELERATORS = ('/dev/nvidia[0-9]*', '/dev/kfd', '/dev/accel*', '/dev/vfio/*')
# Programs that this process has used, as passed to `first_use`.
_used: set[str] = set()


def enable() -> None:
  """Turns the cache on and prunes it, unless the user has configured one."""
  import jax

  if MIN_SECONDS_OPTION.upper() not in os.environ:
    jax.config.update(MIN_SECONDS_OPTION, MIN_SECONDS)
  if os.environ.get(VARIABLE) or getattr(jax.config, OPTION):
    return
  if not FOLDER.is_absolute():  # no home folder, as in many containers
    return
  jax.config.update(OPTION, str(FOLDER))
  prune(FOLDER, MAX_BYTES)


def prefer_fast_compilation() -> None:
  """Sets flags so that XLA compiles faster, if there is no accelerator.

  A lower optimisation level saves two seconds at the first photograph on some
  processors, and makes sampling a tenth slower. XLA's older kernel emitters
  compile a third faster than the new ones, and their kernels are just as fast.

  Must be called before JAX starts. Does nothing if the user has set the
  environment variable XLA_FLAGS.
  """
  if 'XLA_FLAGS' in os.environ or any(map(glob.glob, ACCELERATORS)):
    return
  flags = [XLA_FLAGS]
  if metadata.version('jaxlib').startswith(HAS_OLD_EMITTERS):
    flags.append(OLD_EMITTERS)
  os.environ['XLA_FLAGS'] = ' '.join(flags)


@contextlib.contextmanager
def first_use(program: str, text: str) -> Iterator[None]:
  """Prints a line if a program has not been compiled on this machine yet.

  The first call of the program must be inside this context. Afterwards an empty
  file in the cache records that the program has been compiled.

  Args:
    program: text that identifies the program and everything that its compiled
      form depends on.
    text: line that tells the user why they have to wait.
  """
  import jax

  if program in _used:
    yield
    return
  compiler = f'{jax.__version__} {os.environ.get("XLA_FLAGS")}'
  name = hashlib.sha256(f'{compiler} {program}'.encode()).hexdigest()
  folder = getattr(jax.config, OPTION)
  mark = pathlib.Path(folder) / f'used_{name[:16]}' if folder else None
  if mark is None or not mark.exists():
    terminal.say(text)
  yield
  _used.add(program)
  if mark is not None:
    with contextlib.suppress(OSError):  # the folder may be read-only
      mark.touch()


def prune(folder: pathlib.Path, max_bytes: int) -> None:
  """Deletes the least recently used files of a cache that is too large.

  Args:
    folder: folder of the cache; it may be missing.
    max_bytes: largest total size of the files that stay.
  """
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
    return  # another process is pruning it too, or the disk is read-only
