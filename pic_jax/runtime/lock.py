"""One writer per workdir, or one for each part of the work in a folder."""

import contextlib
import json
import os
import pathlib
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, TextIO

from pic_jax.runtime import errors

try:
  import fcntl
except ImportError:  # Windows
  fcntl = None

LOCK_FILE = '.lock'
# On disks without locks a file represents the holder, which touches it at this
# interval; a file untouched for the second time is abandoned.
HELD = '.held'
HEARTBEAT_SECONDS, STALE_SECONDS = 10.0, 120.0


@contextlib.contextmanager
def hold(workdir: str | os.PathLike, part: str = '') -> Iterator[None]:
  """Locks a workdir for this process; the lock ends with the process.

  By `flock`; where the disk or the system has none, by a file that is created
  exclusively; where that fails, too, with a warning only.

  Args:
    workdir: exists.
    part: of the work, such as '3of16': a part excludes the same part, the
      whole and parts of another number; '' for the whole, which excludes all.

  Raises:
    RunError: names host, process and start of the other run.
  """
  folder = pathlib.Path(workdir)
  with contextlib.ExitStack() as stack:
    try:
      _lock(folder, part, stack)
    except _NoLocksError:
      stack.close()
      _create(folder, part, stack)
    yield


class _NoLocksError(Exception):
  """The disk or the system has no `flock`."""


def _name(part: str) -> str:
  return f'{LOCK_FILE}.{part}' if part else LOCK_FILE


def _excluded(folder: pathlib.Path, part: str) -> list[pathlib.Path]:
  """Lock files of other parts that must not be held meanwhile."""
  count = part.partition('of')[2]
  return [
    path
    for path in folder.glob(f'{LOCK_FILE}.*of*')
    if path.suffix != HELD
    and not (part and path.name.partition('of')[2] == count)
  ]


def _lock(folder: pathlib.Path, part: str, stack: contextlib.ExitStack) -> None:
  """Takes the locks of `hold` with `flock`."""
  whole = stack.enter_context(_open(folder / LOCK_FILE))
  _flock(whole, folder, is_shared=bool(part))
  for path in _excluded(folder, part):
    with _open(path) as file:
      _flock(file, folder, is_shared=True)
  own = whole
  if part:
    own = stack.enter_context(_open(folder / _name(part)))
    _flock(own, folder)
  for name in {LOCK_FILE, _name(part)}:  # of a host without locks
    _refuse_held(folder, folder / f'{name}{HELD}')
  with contextlib.suppress(OSError):  # only tells others who it is
    own.truncate(0)
    own.write(json.dumps(_self()))
    own.flush()


def _open(path: pathlib.Path) -> TextIO:
  return path.open('a+', encoding='utf-8')


def _flock(file: TextIO, folder: pathlib.Path, is_shared: bool = False) -> None:
  if fcntl is None:
    raise _NoLocksError
  kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
  try:
    fcntl.flock(file, kind | fcntl.LOCK_NB)
  except BlockingIOError:
    file.seek(0)
    raise errors.RunError(_in_use(folder, file.read())) from None
  except OSError:
    raise _NoLocksError from None


def _self() -> dict[str, Any]:
  """Describes the holder of a lock."""
  host = socket.gethostname()
  with contextlib.suppress(OSError, AttributeError):  # not everywhere
    # Containers may share a name, but no process numbers.
    host += f' {os.readlink("/proc/self/ns/pid")}'
  start = time.strftime('%Y-%m-%d %H:%M:%S')
  return {'host': host, 'pid': os.getpid(), 'start': start}


def _in_use(folder: pathlib.Path, text: str) -> str:
  try:
    holder = json.loads(text)
    host = holder['host'].partition(' ')[0]
    who = f'by process {holder["pid"]} on {host} since {holder["start"]}'
  except (ValueError, KeyError, TypeError, AttributeError):
    who = 'by another process'
  return f'{folder} is in use {who}: stop that run, or choose another folder.'


def _create(
  folder: pathlib.Path, part: str, stack: contextlib.ExitStack
) -> None:
  """Creates a lock file, on disks without `flock`."""
  path = folder / f'{_name(part)}{HELD}'
  others = [path.with_name(f'{x.name}{HELD}') for x in _excluded(folder, part)]
  if part:
    others.append(folder / f'{LOCK_FILE}{HELD}')
    (folder / _name(part)).touch()  # others find parts by this name
  text = json.dumps(_self() | {'id': uuid.uuid4().hex})
  try:
    while True:
      try:
        with path.open('x', encoding='utf-8') as file:
          file.write(text)
        break
      except FileExistsError:
        _refuse_held(folder, path)
    stack.callback(_release, path, text)
    for other in others:
      _refuse_held(folder, other)
  except OSError as error:
    print(
      f'WARNING: {folder} cannot be locked ({error.strerror}): nothing keeps a '
      'second run out.',
      file=sys.stderr,
    )
    return
  stop = threading.Event()
  thread = threading.Thread(
    target=_beat, args=(path, text, stop), name='lock', daemon=True
  )
  thread.start()
  stack.callback(stop.set)


def _release(path: pathlib.Path, text: str) -> None:
  with contextlib.suppress(OSError):
    if path.read_text(encoding='utf-8') == text:
      path.unlink()


def _beat(path: pathlib.Path, text: str, stop: threading.Event) -> None:
  """Touches the file; ends the process if another one has taken over."""
  while not stop.wait(HEARTBEAT_SECONDS):
    try:
      if path.read_text(encoding='utf-8') != text:
        raise FileNotFoundError
      os.utime(path)
    except FileNotFoundError:
      if not stop.is_set():
        errors.fail(1, f'{path.parent} was taken over while this run slept.')
    except OSError:
      continue  # the disk is away: there is nothing to touch, nor to write


def _refuse_held(folder: pathlib.Path, path: pathlib.Path) -> None:
  """Refuses a file with a live holder and removes an abandoned one.

  Raises:
    RunError: it is held.
  """
  try:
    text = path.read_text(encoding='utf-8')
    age = _now(folder) - path.stat().st_mtime
  except FileNotFoundError:
    return
  if not _has_died(text) and age < STALE_SECONDS:
    raise errors.RunError(_in_use(folder, text))
  aside = path.with_name(f'{path.name}.{uuid.uuid4().hex}')
  with contextlib.suppress(FileNotFoundError):  # another one was faster
    path.rename(aside)
    if aside.read_text(encoding='utf-8') != text:  # it was not that one
      aside.rename(path)
      raise errors.RunError(_in_use(folder, ''))
    aside.unlink()


def _now(folder: pathlib.Path) -> float:
  """The time by the clock of the file server."""
  probe = folder / f'.{uuid.uuid4().hex}'
  probe.touch()
  try:
    return probe.stat().st_mtime
  finally:
    probe.unlink()


def _has_died(text: str) -> bool:
  """Whether the holder was a process of this host that has ended."""
  try:
    holder = json.loads(text)
    if holder['host'] != _self()['host'] or sys.platform == 'win32':
      return False  # os.kill would end a process on Windows
    os.kill(holder['pid'], 0)
  except ProcessLookupError:
    return True
  except (ValueError, KeyError, TypeError, OSError):
    return False
  return False
