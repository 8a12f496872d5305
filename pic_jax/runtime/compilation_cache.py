"""Persistent cache of compiled programs: later starts are quick."""

import os
import pathlib

FOLDER = pathlib.Path('~/.cache/pic_jax').expanduser()
MAX_BYTES = 1 << 30
VARIABLE = 'JAX_COMPILATION_CACHE_DIR'


def enable() -> None:
  """Turns the cache on, unless the user has configured one, and prunes it."""
  import jax

  if os.environ.get(VARIABLE) or jax.config.jax_compilation_cache_dir:
    return
  jax.config.update('jax_compilation_cache_dir', str(FOLDER))
  prune(FOLDER, MAX_BYTES)


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
