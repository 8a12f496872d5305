"""Handling of SIGTERM, SIGINT and SIGHUP as requests to stop."""

import _thread
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

# Python and JAX's runtime ignore an exception that is raised inside one of
# their callbacks, for instance during garbage collection. So if the interrupted
# work has not ended after this many seconds, the exception is raised again.
REPEAT_SECONDS = 2.0


def _signal_thread(thread: int) -> None:
  """Sends SIGTERM to a thread; a second SIGINT would end the process at once.

  Args:
    thread: identifier of the thread. On Windows the main thread is used.
  """
  if hasattr(signal, 'pthread_kill'):
    signal.pthread_kill(thread, signal.SIGTERM)
  else:  # on Windows; does not wake a waiting thread
    _thread.interrupt_main(signal.SIGTERM)


class StopRequested(BaseException):
  """The exception that a signal raises inside `Signals.interruptible`.

  It is not an `Exception`, because some libraries catch every `Exception`.
  """


class Signals:
  """Context in which SIGTERM, SIGINT and SIGHUP are only recorded.

  The work checks `received` and stops when its state can be saved. A second
  SIGINT ends the process at once. A closed terminal or a lost connection sends
  SIGHUP, which has no effect on a process that `nohup` started.

  Attributes:
    received: number of the first signal, or None.
  """

  def __init__(self, is_alone: bool = True):
    """Creates the context.

    Args:
      is_alone: whether the run has only this process. If it has more, all must
        stop after the same step, so `interruptible` has no effect.
    """
    self.received: int | None = None
    self._is_alone = is_alone
    self._interruptible = False
    self._repeat: threading.Timer | None = None
    self._previous_handlers: dict[int, Any] = {}

  def __enter__(self) -> 'Signals':
    for name in ('SIGTERM', 'SIGINT', 'SIGHUP'):
      number = getattr(signal, name, None)  # Windows has no SIGHUP
      if number is None:
        continue
      # A SIGHUP that is ignored because of `nohup` stays ignored. An ignored
      # SIGINT is handled: a shell script makes jobs that it starts with `&`
      # ignore SIGINT, but they must save their state.
      if name == 'SIGHUP' and signal.getsignal(number) == signal.SIG_IGN:
        continue
      self._previous_handlers[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._previous_handlers.items():
      signal.signal(number, handler)

  def _handle(self, number: int, _: FrameType | None) -> None:
    if self.received is not None and number == signal.SIGINT:
      os._exit(128 + signal.SIGINT)
    if self.received is None:
      self.received = number
    if self._interruptible:
      self._repeat = threading.Timer(
        REPEAT_SECONDS, _signal_thread, [threading.get_ident()]
      )
      self._repeat.daemon = True
      self._repeat.start()
      raise StopRequested

  @contextlib.contextmanager
  def interruptible(self) -> Iterator[None]:
    """Context in which a signal interrupts the work at once.

    It is meant for work that does not change the state that is saved.

    Raises:
      StopRequested: if a signal arrives now or has arrived before.
    """
    if self.received is not None and self._is_alone:
      raise StopRequested
    self._interruptible = self._is_alone
    try:
      yield
    finally:
      self._interruptible = False
      if self._repeat is not None:
        self._repeat.cancel()
