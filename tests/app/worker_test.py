"""A worker thread: turns, dropped jobs, exceptions and the limit of jobs."""

import asyncio
import contextlib
import threading
import time

import pytest

from pic_jax.app import worker


def test_jobs_take_turns():
  steps, ready = [], threading.Event()

  def job(name):
    ready.wait()
    for index in range(3):
      steps.append((name, index))
      yield index

  async def results_of(the_worker, name):
    return [result async for result in the_worker.results(job(name))]

  async def run_both():
    the_worker = worker.Worker()
    tasks = [asyncio.create_task(results_of(the_worker, name)) for name in 'ab']
    await asyncio.sleep(0.1)
    ready.set()
    return await asyncio.gather(*tasks)

  assert asyncio.run(run_both()) == [[0, 1, 2], [0, 1, 2]]
  assert steps == [(name, index) for index in range(3) for name in 'ab']


def test_closing_the_results_ends_their_job_and_no_other():
  steps = []

  def endless():
    while True:
      steps.append(len(steps))
      yield

  async def close_early():
    the_worker = worker.Worker()
    results = the_worker.results(endless())
    async with contextlib.aclosing(results):
      await anext(results)
    assert await the_worker.call(lambda: 'next') == 'next'
    count = len(steps)
    # Between the two calls, a job that is still waiting would run a step.
    assert await the_worker.call(lambda: 'last') == 'last'
    return count

  count = asyncio.run(close_early())
  assert len(steps) == count


def test_an_exception_reaches_the_caller_and_the_thread_continues():
  async def call_twice():
    the_worker = worker.Worker()
    with pytest.raises(ZeroDivisionError):
      await the_worker.call(lambda: 1 // 0)
    return await the_worker.call(lambda: 5)

  assert asyncio.run(call_twice()) == 5


def test_wait_until_quiet_returns_after_a_time_without_jobs():
  the_worker, step_times = worker.Worker(), []

  def job():
    for _ in range(5):
      time.sleep(0.05)
      step_times.append(time.monotonic())
      yield

  async def run_job():
    return [result async for result in the_worker.results(job())]

  async def run_and_wait():
    task = asyncio.create_task(run_job())
    await asyncio.sleep(0.02)
    await asyncio.to_thread(the_worker.wait_until_quiet, 0.2)
    return_time = time.monotonic()
    await task
    return return_time

  return_time = asyncio.run(run_and_wait())
  assert len(step_times) == 5 and return_time - step_times[-1] >= 0.19


def test_too_many_jobs_are_refused(monkeypatch):
  monkeypatch.setattr(worker.Worker, 'MAX_JOBS', 0)

  async def ask():
    await worker.Worker().call(lambda: None)

  with pytest.raises(worker.BusyError):
    asyncio.run(ask())
