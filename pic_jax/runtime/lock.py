"""One writer per workdir."""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator

from pic_jax.runtime import errors

LOCK_FILE = '.lock'


@contextlib.contextmanager
def hold(workdir: str | os.PathLike) -> Iterator[None]:
  """Holds a workdir for this process; the lock dies with its holder.

  Exact on a local disk, best effort on network file systems.

  Raises:
    RunError: names host, process and start of the other run.
  """
  path = pathlib.Path(workdir) / LOCK_FILE
  with path.open('a+', encoding='utf-8') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise errors.RunError(_holder(workdir, file.read())) from None
    file.truncate(0)
    holder = {
      'host': socket.gethostname(),
      'pid': os.getpid(),
      'start': time.strftime('%Y-%m-%d %H:%M:%S'),
    }
    file.write(json.dumps(holder))
    file.flush()
    yield


def _holder(workdir: str | os.PathLike, text: str) -> str:
  try:
    holder = json.loads(text)
    who = 'by process {pid} on {host} since {start}'.format(**holder)
  except (ValueError, KeyError, TypeError):
    who = 'by another process'
  return f'{workdir} is in use {who}: stop that run, or choose another workdir.'
