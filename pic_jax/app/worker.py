"""The thread that owns the model; requests take turns."""

import asyncio
import collections
import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


class BusyError(RuntimeError):
  """Too many requests are waiting."""


@dataclasses.dataclass(eq=False)
class Job:
  """The steps of a request.

  Attributes:
    steps: each `next` does one step.
    tell: is called with each result, in the thread of the worker; at the end
      with a `StopIteration`, after a failure with its exception.
    is_dropped: the client is gone; set by any thread.
  """

  steps: Iterator[Any]
  tell: Callable[[Any], None]
  is_dropped: bool = False


class Worker:
  """Runs one step of each waiting job in turn, in its own thread.

  Two windows that draw at the same time both advance.
  """

  MAX_JOBS = 64

  def __init__(self) -> None:
    self._jobs: collections.deque[Job] = collections.deque()
    self._changed = threading.Condition()
    self._last = time.monotonic()  # when a step ended
    threading.Thread(target=self._run, name='worker', daemon=True).start()

  def wait_until_quiet(self, seconds: float) -> None:
    """Returns once no request has come for this long."""
    while self._jobs or time.monotonic() - self._last < seconds:
      time.sleep(seconds / 10)

  async def results(self, steps: Iterator[Any]) -> AsyncIterator[Any]:
    """Yields the result of each step; leaving it early drops the rest.

    Raises:
      BusyError: nothing was begun. And whatever a step raises.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()

    def tell(result: Any) -> None:
      try:
        loop.call_soon_threadsafe(queue.put_nowait, result)
      except RuntimeError:  # the server has stopped
        job.is_dropped = True

    job = Job(steps, tell)
    with self._changed:
      if len(self._jobs) >= self.MAX_JOBS:
        raise BusyError('Too many requests at once; try again in a minute.')
      self._jobs.append(job)
      self._changed.notify()
    try:
      while True:
        result = await queue.get()
        if isinstance(result, StopIteration):
          return
        if isinstance(result, Exception):
          raise result
        yield result
    finally:
      job.is_dropped = True

  async def call(self, fn: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Runs `fn` as a job of one step and returns its result."""
    results = self.results(fn(*args, **named) for _ in range(1))
    async with contextlib.aclosing(results):
      return await anext(results)

  def _run(self) -> None:
    while True:
      with self._changed:
        self._changed.wait_for(lambda: self._jobs)
        job = self._jobs.popleft()
        self._last = math.inf
      goes_on = self._step(job)
      with self._changed:
        self._last = time.monotonic()
        if goes_on:
          self._jobs.append(job)

  def _step(self, job: Job) -> bool:
    """Does one step; returns whether more follow."""
    if job.is_dropped:
      return False
    try:
      job.tell(next(job.steps))
      return True
    except StopIteration as end:
      job.tell(end)
    except Exception as error:  # the thread must outlive any photograph
      job.tell(error)
    return False
