"""A run among others: one writer per workdir, and signals that ask to stop."""

import contextlib
import fcntl
import json
import os
import pathlib
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType

LOCK_FILE = '.lock'


class LockedError(RuntimeError):
  """Another process writes to this workdir; the text says which."""


@contextlib.contextmanager
def lock(workdir: str | os.PathLike) -> Iterator[None]:
  """Holds a workdir for this process; the lock dies with its holder.

  Exact on a local disk, best effort on network file systems.

  Raises:
    LockedError: names host, process and start of the other run.
  """
  path = pathlib.Path(workdir) / LOCK_FILE
  with path.open('a+') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise LockedError(_holder(workdir, file.read())) from None
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


class StopRequested(BaseException):
  """Raised by a signal inside `Signals.interruptible`.

  Not an Exception, so that no handler of a library swallows it.
  """


class Signals:
  """Turns SIGTERM and SIGINT into a request to stop at the next good moment.

  A second SIGINT ends the process at once.

  Attributes:
    received: number of the signal, or None.
  """

  def __init__(self) -> None:
    self.received: int | None = None
    self._interruptible = False
    self._before: dict[int, signal.Handlers] = {}

  def __enter__(self) -> 'Signals':
    for number in (signal.SIGTERM, signal.SIGINT):
      self._before[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _handle(self, number: int, _: FrameType | None) -> None:
    if self.received is not None and number == signal.SIGINT:
      os._exit(128 + signal.SIGINT)
    self.received = number
    if self._interruptible:
      self._interruptible = False
      raise StopRequested

  @contextlib.contextmanager
  def interruptible(self) -> Iterator[None]:
    """Work that a signal may break off: it changes nothing that is saved."""
    if self.received is not None:
      raise StopRequested
    self._interruptible = True
    try:
      yield
    finally:
      self._interruptible = False
