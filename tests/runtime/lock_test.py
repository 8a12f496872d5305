"""Locks of folders and their parts, with and without `flock`."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from pic_jax.runtime import errors, lock

HOLD = """
import errno, sys, time
from pic_jax.runtime import lock
if sys.argv[3] == 'none':
  lock.fcntl = None
if sys.argv[3] == 'refused':
  def flock(*_):
    raise OSError(errno.ENOLCK, 'No locks available')
  lock.fcntl.flock = flock
with lock.hold(sys.argv[1], sys.argv[2]):
  print('held', flush=True)
  time.sleep(60)
"""


@contextlib.contextmanager
def held_by_another(folder, part='', locks='flock'):
  """Runs another process that locks a folder, and kills it at the end.

  Yields the number of the process. For `locks` see the fixture.
  """
  command = [sys.executable, '-c', HOLD, str(folder), part, locks]
  with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
    try:
      assert holder.stdout.readline() == b'held\n'
      yield holder.pid
    finally:
      holder.kill()


@pytest.fixture(params=['flock', 'none', 'refused'])
def locks(request, monkeypatch):
  """A disk with `flock`, a system without it, and a disk that refuses it."""
  if request.param == 'none':
    monkeypatch.setattr(lock, 'fcntl', None)
  if request.param == 'refused':

    def flock(*_):
      raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(lock.fcntl, 'flock', flock)
  return request.param


def test_a_second_writer_is_refused_until_the_first_has_died(tmp_path, locks):
  with held_by_another(tmp_path, locks=locks) as pid:
    with pytest.raises(errors.RunError) as error, lock.hold(tmp_path):
      pass
  assert str(pid) in str(error.value)
  assert socket.gethostname() in str(error.value)
  assert time.strftime('%Y-%m-') in str(error.value)
  with lock.hold(tmp_path):
    pass
  assert not list(tmp_path.glob('*.held*'))


@pytest.mark.parametrize(
  'theirs,ours,is_allowed',
  [
    ('3of16', '4of16', True),
    ('3of16', '3of16', False),
    ('3of16', '3of8', False),
    ('3of16', '', False),
    ('', '3of16', False),
  ],
)
def test_a_part_excludes_itself_the_whole_and_parts_of_another_count(
  theirs, ours, is_allowed, tmp_path, locks
):
  with held_by_another(tmp_path, theirs, locks):
    if is_allowed:
      with lock.hold(tmp_path, ours):
        pass
    else:
      with pytest.raises(errors.RunError, match='in use'):
        with lock.hold(tmp_path, ours):
          pass
  with lock.hold(tmp_path, ours):
    pass


def test_a_host_with_locks_respects_a_holder_without_locks(tmp_path):
  with held_by_another(tmp_path, locks='none'):
    with pytest.raises(errors.RunError, match='in use'), lock.hold(tmp_path):
      pass
  with held_by_another(tmp_path, '3of16', locks='none'):
    for part in ('', '3of16', '1of8'):
      with pytest.raises(errors.RunError, match='in use'):
        with lock.hold(tmp_path, part):
          pass
    with lock.hold(tmp_path, '4of16'):
      pass


def test_a_holder_on_another_host_is_assumed_dead_without_a_heartbeat(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(lock, 'fcntl', None)
  path = tmp_path / '.lock.held'
  holder = {'host': 'elsewhere', 'pid': 1, 'start': '2026'}
  path.write_text(json.dumps(holder))
  with pytest.raises(errors.RunError, match='process 1 on elsewhere'):
    with lock.hold(tmp_path):
      pass
  old = time.time() - 2 * lock.STALE_SECONDS
  os.utime(path, (old, old))
  with lock.hold(tmp_path):
    assert json.loads(path.read_text())['pid'] == os.getpid()


def lock_from_the_future(folder):
  """Writes the lock of a host whose clock is ahead; returns path and time."""
  path = folder / '.lock.held'
  path.write_text(json.dumps({'host': 'elsewhere', 'pid': 1, 'start': '2026'}))
  future = time.time() + 1e6
  os.utime(path, (future, future))
  return path, future


@pytest.mark.parametrize('is_alive', [False, True])
def test_a_lock_from_the_future_is_held_only_if_it_is_touched(
  is_alive, tmp_path, monkeypatch
):
  monkeypatch.setattr(lock, 'fcntl', None)
  monkeypatch.setattr(lock, 'STALE_SECONDS', 0.2)
  path, future = lock_from_the_future(tmp_path)

  def sleep(seconds):
    assert seconds == 0.2
    if is_alive:
      os.utime(path, (future + 10, future + 10))

  monkeypatch.setattr(lock.time, 'sleep', sleep)
  if is_alive:
    with pytest.raises(errors.RunError, match='process 1 on elsewhere'):
      with lock.hold(tmp_path):
        pass
  else:
    with lock.hold(tmp_path):
      assert json.loads(path.read_text())['pid'] == os.getpid()


def test_a_holder_that_waits_for_another_lock_keeps_its_own_alive(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(lock, 'fcntl', None)
  monkeypatch.setattr(lock, 'HEARTBEAT_SECONDS', 0.02)
  path, future = lock_from_the_future(tmp_path)
  own = tmp_path / '.lock.3of16.held'

  def sleep(_):
    os.utime(own, (0, 0))  # which the heartbeat must change
    deadline = time.monotonic() + 20
    while own.stat().st_mtime == 0:
      assert time.monotonic() < deadline
      threading.Event().wait(0.02)  # because `time.sleep` is replaced

  monkeypatch.setattr(lock.time, 'sleep', sleep)
  with lock.hold(tmp_path, '3of16'):
    assert not path.exists()


def test_a_holder_keeps_touching_its_lock(tmp_path, monkeypatch):
  monkeypatch.setattr(lock, 'fcntl', None)
  monkeypatch.setattr(lock, 'HEARTBEAT_SECONDS', 0.02)
  path = tmp_path / '.lock.held'
  with lock.hold(tmp_path):
    os.utime(path, (0, 0))
    deadline = time.monotonic() + 20
    while path.stat().st_mtime == 0 and time.monotonic() < deadline:
      time.sleep(0.01)
    assert path.stat().st_mtime > 0


def test_a_folder_that_cannot_be_locked_is_used_after_a_one_line_warning(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(lock, 'fcntl', None)

  def refuse(path):
    raise OSError(errno.EPERM, 'Operation not permitted', str(path))

  monkeypatch.setattr(lock, '_refuse_held', lambda *_: refuse(tmp_path))
  (tmp_path / '.lock.held').touch()
  with lock.hold(tmp_path):
    pass
  stderr = capsys.readouterr().err
  assert stderr.count('\n') == 1 and 'second run' in stderr
