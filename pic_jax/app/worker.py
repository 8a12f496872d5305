"""Worker threads, in which the jobs of several requests take turns."""

import asyncio
import collections
import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any


class BusyError(RuntimeError):
  """A request that is refused because too many requests are waiting."""


@dataclasses.dataclass(eq=False)
class Job:
  """Work for one request, in steps.

  Attributes:
    steps: iterator that does one step at each `next` and returns its result.
    tell: function that the worker's thread calls with the result of each step,
      and finally with a `StopIteration` or the exception that a step raised.
    is_dropped: whether nobody waits for the results any more. Any thread may
      set it.
  """

  steps: Iterator[Any]
  tell: Callable[[Any], None]
  is_dropped: bool = False


class Worker:
  """A thread that runs one step of each waiting job in turn.

  If two browser windows draw samples at the same time, both make progress.

  Attributes:
    MAX_JOBS: largest number of waiting jobs.
  """

  MAX_JOBS = 64

  def __init__(self) -> None:
    """Starts the thread, which runs until the process ends."""
    self._jobs: collections.deque[Job] = collections.deque()
    self._changed = threading.Condition()
    # Time (`time.monotonic`) at which the last step ended; infinite while a
    # step runs.
    self._idle_since = time.monotonic()
    threading.Thread(target=self._run, name='worker', daemon=True).start()

  def wait_until_quiet(self, seconds: float) -> None:
    """Waits until there has been no job for this many seconds."""
    while self._jobs or time.monotonic() - self._idle_since < seconds:
      time.sleep(seconds / 10)

  async def results(self, steps: Iterator[Any]) -> AsyncGenerator[Any, None]:
    """Runs a job and yields the result of each step.

    If the caller closes this generator, the remaining steps are not run.

    Args:
      steps: iterator that does one step at each `next`.

    Raises:
      BusyError: if too many jobs are waiting. No step is run then.
      Exception: if a step raises it.
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
        raise BusyError(
          'There are too many requests at once. Please try again in a minute.'
        )
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
    """Runs `fn(*args, **named)` as a job of one step and returns the result.

    Raises:
      BusyError: if too many jobs are waiting.
      Exception: if `fn` raises it.
    """
    # The generator leaves the call of `fn` to the worker's thread.
    results = self.results(fn(*args, **named) for _ in range(1))
    async with contextlib.aclosing(results):
      return await anext(results)

  def _run(self) -> None:
    """Runs steps of the waiting jobs forever."""
    while True:
      with self._changed:
        self._changed.wait_for(lambda: self._jobs)
        job = self._jobs.popleft()
        self._idle_since = math.inf
      has_more_steps = self._step(job)
      with self._changed:
        self._idle_since = time.monotonic()
        if has_more_steps:
          self._jobs.append(job)

  def _step(self, job: Job) -> bool:
    """Runs one step of a job, and returns whether more steps may follow."""
    if job.is_dropped:
      return False
    try:
      job.tell(next(job.steps))
      return True
    except StopIteration as end:
      job.tell(end)
    except Exception as error:  # an error must not end the thread
      job.tell(error)
    return False
