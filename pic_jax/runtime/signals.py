"""Signals as requests to stop at the next good moment."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType


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

  def __init__(self, is_alone: bool = True):
    """Prepares the handlers.

    Args:
      is_alone: False with several processes, which must all stop at one step:
        no work can be interrupted then.
    """
    self.received: int | None = None
    self._is_alone = is_alone
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
    """Context of work that a signal may interrupt, because nothing is saved."""
    if self.received is not None and self._is_alone:
      raise StopRequested
    self._interruptible = self._is_alone
    try:
      yield
    finally:
      self._interruptible = False
