"""One writer per workdir."""

import socket
import subprocess
import sys
import time

import pytest

from pic_jax.runtime import errors, lock

HOLD = """
import sys, time
from pic_jax.runtime import lock
with lock.hold(sys.argv[1]):
  print('held', flush=True)
  time.sleep(60)
"""


def test_a_second_writer_is_refused_until_the_first_has_died(tmp_path):
  command = [sys.executable, '-c', HOLD, str(tmp_path)]
  with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
    assert holder.stdout.readline() == b'held\n'
    with pytest.raises(errors.RunError) as error:
      with lock.hold(tmp_path):
        pass
    holder.kill()
  assert str(holder.pid) in str(error.value)
  assert socket.gethostname() in str(error.value)
  assert time.strftime('%Y-%m-') in str(error.value)
  with lock.hold(tmp_path):
    pass
