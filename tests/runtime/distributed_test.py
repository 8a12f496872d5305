"""One writer per workdir; signals become requests."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from pic_jax.runtime import distributed, errors

HOLD = """
import sys, time
from pic_jax.runtime import distributed
with distributed.lock(sys.argv[1]):
  print('held', flush=True)
  time.sleep(60)
"""


def test_a_second_writer_is_refused_until_the_first_has_died(tmp_path):
  command = [sys.executable, '-c', HOLD, str(tmp_path)]
  with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
    assert holder.stdout.readline() == b'held\n'
    with pytest.raises(errors.RunError) as error:
      with distributed.lock(tmp_path):
        pass
    holder.kill()
  assert str(holder.pid) in str(error.value)
  assert socket.gethostname() in str(error.value)
  assert time.strftime('%Y-%m-') in str(error.value)
  with distributed.lock(tmp_path):
    pass


def test_signals_are_remembered_and_handlers_restored():
  before = signal.getsignal(signal.SIGTERM)
  with distributed.Signals() as signals:
    assert signals.received is None
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received == signal.SIGTERM
    with pytest.raises(distributed.StopRequested), signals.interruptible():
      pytest.fail('work must not start any more')
  assert signal.getsignal(signal.SIGTERM) == before


def test_interruptible_work_is_broken_off_at_once():
  with distributed.Signals() as signals:
    with pytest.raises(distributed.StopRequested), signals.interruptible():
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(5)
      pytest.fail('the signal must end the work')
    assert signals.received == signal.SIGINT


def test_a_second_interrupt_ends_the_process():
  code = (
    'import os, signal\n'
    'from pic_jax.runtime import distributed\n'
    'with distributed.Signals():\n'
    '  os.kill(os.getpid(), signal.SIGINT)\n'
    '  os.kill(os.getpid(), signal.SIGINT)\n'
  )
  result = subprocess.run([sys.executable, '-c', code], check=False)
  assert result.returncode == 130
