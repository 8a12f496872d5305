"""One thread for many clients: turns, dropped work, failures."""

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

  async def wait_for(its_worker, name):
    return [result async for result in its_worker.results(job(name))]

  async def both():
    its_worker = worker.Worker()
    tasks = [asyncio.create_task(wait_for(its_worker, name)) for name in 'ab']
    await asyncio.sleep(0.1)
    ready.set()
    return await asyncio.gather(*tasks)

  assert asyncio.run(both()) == [[0, 1, 2], [0, 1, 2]]
  assert steps == [(name, index) for index in range(3) for name in 'ab']


def test_a_client_that_leaves_ends_its_job_and_no_other():
  steps = []

  def endless():
    while True:
      steps.append(len(steps))
      yield

  async def leave():
    its_worker = worker.Worker()
    results = its_worker.results(endless())
    async with contextlib.aclosing(results):
      await anext(results)
    assert await its_worker.call(lambda: 'next') == 'next'
    count = len(steps)
    assert await its_worker.call(lambda: 'last') == 'last'
    return count

  count = asyncio.run(leave())
  assert len(steps) == count


def test_a_failure_reaches_its_client_and_the_thread_goes_on():
  async def fail():
    its_worker = worker.Worker()
    with pytest.raises(ZeroDivisionError):
      await its_worker.call(lambda: 1 // 0)
    return await its_worker.call(lambda: 5)

  assert asyncio.run(fail()) == 5


def test_quiet_is_when_nobody_has_asked_for_some_time():
  its_worker, steps = worker.Worker(), []

  def job():
    for _ in range(5):
      time.sleep(0.05)
      steps.append(time.monotonic())
      yield

  async def work():
    return [result async for result in its_worker.results(job())]

  async def both():
    task = asyncio.create_task(work())
    await asyncio.sleep(0.02)
    await asyncio.to_thread(its_worker.wait_until_quiet, 0.2)
    quiet = time.monotonic()
    await task
    return quiet

  quiet = asyncio.run(both())
  assert len(steps) == 5 and quiet - steps[-1] >= 0.19


def test_too_many_jobs_are_refused(monkeypatch):
  monkeypatch.setattr(worker.Worker, 'MAX_JOBS', 0)

  async def ask():
    await worker.Worker().call(lambda: None)

  with pytest.raises(worker.BusyError):
    asyncio.run(ask())
