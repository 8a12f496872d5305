"""Signals become requests to stop."""

import gc
import os
import signal
import subprocess
import sys
import time

import pytest

from pic_jax.runtime import signals


def test_signals_are_remembered_and_handlers_restored():
  before = signal.getsignal(signal.SIGTERM)
  with signals.Signals() as stops:
    assert stops.received is None
    os.kill(os.getpid(), signal.SIGTERM)
    assert stops.received == signal.SIGTERM
    with pytest.raises(signals.StopRequested), stops.interruptible():
      pytest.fail('work must not start after a signal')
  assert signal.getsignal(signal.SIGTERM) == before


def test_a_hangup_is_a_request_to_stop_unless_it_is_ignored():
  ended = []
  before = signal.signal(signal.SIGHUP, lambda *_: ended.append('at once'))
  try:
    with signals.Signals() as stops:
      os.kill(os.getpid(), signal.SIGHUP)
    assert (stops.received, ended) == (signal.SIGHUP, [])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with signals.Signals() as stops:
      os.kill(os.getpid(), signal.SIGHUP)
    assert stops.received is None
  finally:
    signal.signal(signal.SIGHUP, before)


def test_an_interrupt_is_recorded_even_if_it_was_ignored_before():
  before = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    with signals.Signals() as stops:
      os.kill(os.getpid(), signal.SIGINT)
    assert stops.received == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
  finally:
    signal.signal(signal.SIGINT, before)


def test_interruptible_work_is_interrupted_at_once():
  with signals.Signals() as stops:
    with pytest.raises(signals.StopRequested), stops.interruptible():
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(5)
      pytest.fail('the signal must end the work')
    assert stops.received == signal.SIGINT


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_an_ignored_exception_is_raised_again(monkeypatch):
  """Python ignores exceptions in callbacks of the garbage collector."""
  monkeypatch.setattr(signals, 'REPEAT_SECONDS', 0.2)
  sent = []

  def during_collection(phase, _):
    if not sent:
      sent.append(phase)
      os.kill(os.getpid(), signal.SIGTERM)

  gc.callbacks.append(during_collection)
  try:
    with signals.Signals() as stops:
      with pytest.raises(signals.StopRequested), stops.interruptible():
        gc.collect()
        assert sent and stops.received == signal.SIGTERM
        time.sleep(10)
        pytest.fail('the signal must end the work')
  finally:
    gc.callbacks.remove(during_collection)


def test_a_second_interrupt_ends_the_process():
  code = (
    'import os, signal\n'
    'from pic_jax.runtime import signals\n'
    'with signals.Signals():\n'
    '  os.kill(os.getpid(), signal.SIGINT)\n'
    '  os.kill(os.getpid(), signal.SIGINT)\n'
  )
  result = subprocess.run([sys.executable, '-c', code], check=False)
  assert result.returncode == 130
