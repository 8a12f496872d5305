"""Locks that keep a second process from writing to the same folder.

A process locks a whole workdir, or only its part of the work in a folder of
photographs, such as part 3 of 16.
"""

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
# Suffix of the file that exists while a process holds a lock, on disks without
# `flock`. The process touches it every HEARTBEAT_SECONDS. If nobody has touched
# it for STALE_SECONDS, the process is assumed to have died.
HELD = '.held'
HEARTBEAT_SECONDS, STALE_SECONDS = 10.0, 120.0


@contextlib.contextmanager
def hold(path: str | os.PathLike, part: str = '') -> Iterator[None]:
  """Locks a folder for this process while the context is open.

  The lock is a `flock`. If the disk or the system has no `flock`, it is a file
  that only one process can create. If this file cannot be created either, the
  function prints a warning and locks nothing.

  Args:
    path: path of an existing folder.
    part: part of the work in this folder, such as '3of16', or '' for all of
      it. A part may be locked together with other parts of the same count
      ('4of16'), but not together with itself, with parts of another count
      ('1of8') or with ''.

  Raises:
    RunError: if another process holds a lock that excludes this lock. The
      message gives host, process number and start of the other process.
  """
  folder = pathlib.Path(path)
  with contextlib.ExitStack() as stack:
    try:
      _lock_by_flock(folder, part, stack)
    except _NoLocksError:
      stack.close()
      _lock_by_file(folder, part, stack)
    yield


class _NoLocksError(Exception):
  """Error for a disk or a system that has no `flock`."""


def _name(part: str) -> str:
  """Returns the name of the lock file of a part, or of the whole folder."""
  return f'{LOCK_FILE}.{part}' if part else LOCK_FILE


def _excluded(folder: pathlib.Path, part: str) -> list[pathlib.Path]:
  """Returns the lock files of parts that exclude a lock of `part`."""
  count = part.partition('of')[2]
  return [
    path
    for path in folder.glob(f'{LOCK_FILE}.*of*')
    if path.suffix != HELD
    and not (part and path.name.partition('of')[2] == count)
  ]


def _lock_by_flock(
  folder: pathlib.Path, part: str, stack: contextlib.ExitStack
) -> None:
  """Locks the folder or a part with `flock`, until `stack` is closed.

  Raises:
    RunError: if another process holds a lock that excludes this lock.
    _NoLocksError: if the disk or the system has no `flock`.
  """
  folder_lock = stack.enter_context(_open(folder / LOCK_FILE))
  _flock(folder_lock, folder, is_shared=bool(part))
  held_lock = folder_lock
  if part:
    held_lock = stack.enter_context(_open(folder / _name(part)))
    _flock(held_lock, folder)
  # The check comes after locking, so if two processes start at the same time,
  # at least one of them sees the other's lock.
  excluded = _excluded(folder, part)
  for path in excluded:
    with _open(path) as file:
      _flock(file, folder, is_shared=True)
  # A host without `flock` may have locked the folder with a file.
  for name in {LOCK_FILE, _name(part), *(path.name for path in excluded)}:
    _refuse_held(folder, folder / f'{name}{HELD}')
  # The description is used only in messages, so a full disk does not matter.
  with contextlib.suppress(OSError):
    held_lock.truncate(0)
    held_lock.write(json.dumps(_describe_holder()))
    held_lock.flush()


def _open(path: pathlib.Path) -> TextIO:
  """Opens a lock file for reading and writing, and creates it if missing."""
  return path.open('a+', encoding='utf-8')


def _flock(file: TextIO, folder: pathlib.Path, is_shared: bool = False) -> None:
  """Locks an open file without waiting.

  Raises:
    RunError: if another process holds a lock of the file.
    _NoLocksError: if the disk or the system has no `flock`.
  """
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


def _describe_holder() -> dict[str, Any]:
  """Describes this process as the holder of a lock.

  Returns:
    Dict with 'host' (name and, on Linux, namespace of process numbers), 'pid'
    and 'start' (current local time).
  """
  host = socket.gethostname()
  with contextlib.suppress(OSError, AttributeError):  # not Linux
    # Containers may have equal host names. Each has its own namespace of
    # process numbers, so its identifier tells the containers apart.
    host += f' {os.readlink("/proc/self/ns/pid")}'
  start = time.strftime('%Y-%m-%d %H:%M:%S')
  return {'host': host, 'pid': os.getpid(), 'start': start}


def _in_use(folder: pathlib.Path, text: str) -> str:
  """Returns the error message for a folder that another process has locked.

  Args:
    folder: the locked folder.
    text: contents of the lock file, which may be incomplete.
  """
  try:
    holder = json.loads(text)
    host = holder['host'].partition(' ')[0]
    who = f'by process {holder["pid"]} on {host} since {holder["start"]}'
  except (ValueError, KeyError, TypeError, AttributeError):
    who = 'by another process'
  return f'{folder} is in use {who}. Stop that run, or choose another folder.'


def _lock_by_file(
  folder: pathlib.Path, part: str, stack: contextlib.ExitStack
) -> None:
  """Locks the folder or a part with a file, on disks without `flock`.

  Prints a warning, and locks nothing, if the file cannot be created.

  Raises:
    RunError: if another process holds a lock that excludes this lock.
  """
  path = folder / f'{_name(part)}{HELD}'
  excluded = [
    path.with_name(f'{x.name}{HELD}') for x in _excluded(folder, part)
  ]
  if part:
    excluded.append(folder / f'{LOCK_FILE}{HELD}')
    # `_excluded` finds the parts of a folder by these files.
    (folder / _name(part)).touch()
  text = json.dumps(_describe_holder() | {'id': uuid.uuid4().hex})
  try:
    while True:
      try:
        with path.open('x', encoding='utf-8') as file:
          file.write(text)
        break
      except FileExistsError:
        _refuse_held(folder, path)
    stack.callback(_release, path, text)
    # `_beat` starts before the checks below, because they may take longer than
    # STALE_SECONDS.
    stop = threading.Event()
    stack.callback(stop.set)
    threading.Thread(
      target=_beat, args=(path, text, stop), name='lock', daemon=True
    ).start()
    for excluded_path in excluded:
      _refuse_held(folder, excluded_path)
  except OSError as error:
    print(
      f'WARNING: {folder} cannot be locked ({error.strerror}). Make sure that '
      'no second run writes to it.',
      file=sys.stderr,
    )


def _release(path: pathlib.Path, text: str) -> None:
  """Deletes the lock file, unless another process has replaced it."""
  with contextlib.suppress(OSError):
    if path.read_text(encoding='utf-8') == text:
      path.unlink()


def _beat(path: pathlib.Path, text: str, stop: threading.Event) -> None:
  """Touches the lock file at intervals until `stop` is set.

  Ends this process if another process has removed or replaced the file.
  """
  while not stop.wait(HEARTBEAT_SECONDS):
    try:
      if path.read_text(encoding='utf-8') != text:
        raise FileNotFoundError
      os.utime(path)
    except FileNotFoundError:
      if not stop.is_set():
        errors.fail(
          1,
          f'Another run has locked {path.parent} while this run was suspended.',
        )
    except OSError:
      continue  # the disk is not reachable now, so no run can write to it


def _refuse_held(folder: pathlib.Path, path: pathlib.Path) -> None:
  """Refuses to continue if a lock file is held; removes it if it is stale.

  Args:
    folder: the locked folder.
    path: the lock file, which has the suffix `HELD`. It may be missing.

  Raises:
    RunError: if the holder is alive.
  """
  try:
    text = path.read_text(encoding='utf-8')
    is_held = not _has_died(text) and _is_touched(folder, path)
  except FileNotFoundError:
    return
  if is_held:
    raise errors.RunError(_in_use(folder, text))
  # Meanwhile another process may have removed the file or created a new one. So
  # the file is renamed first, and deleted only if its text is still the same.
  aside = path.with_name(f'{path.name}.{uuid.uuid4().hex}')
  with contextlib.suppress(FileNotFoundError):
    path.rename(aside)
    if aside.read_text(encoding='utf-8') != text:
      aside.rename(path)
      raise errors.RunError(_in_use(folder, ''))
    aside.unlink()


def _is_touched(folder: pathlib.Path, path: pathlib.Path) -> bool:
  """Returns whether a lock file has a holder that touches it."""
  touched = path.stat().st_mtime
  age = _now(folder) - touched
  if age > -STALE_SECONDS:
    return age < STALE_SECONDS
  # A clock was wrong or has been set back, so the age is meaningless.
  print(
    f'The time of {path} is in the future. Waiting {STALE_SECONDS:g} s to see '
    'whether its holder still touches it.',
    file=sys.stderr,
  )
  time.sleep(STALE_SECONDS)
  return path.stat().st_mtime != touched


def _now(folder: pathlib.Path) -> float:
  """Returns the time in seconds by the clock of the disk or file server."""
  probe = folder / f'.{uuid.uuid4().hex}'
  probe.touch()
  try:
    return probe.stat().st_mtime
  finally:
    probe.unlink()


def _has_died(text: str) -> bool:
  """Returns whether a lock's holder was a process of this host and has ended.

  Args:
    text: contents of the lock file.
  """
  try:
    holder = json.loads(text)
    if holder['host'] != _describe_holder()['host'] or sys.platform == 'win32':
      return False  # on Windows, os.kill would end the process
    os.kill(holder['pid'], 0)
  except ProcessLookupError:
    return True
  except (ValueError, KeyError, TypeError, OSError):
    return False
  return False
