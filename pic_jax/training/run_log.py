"""Logs of a training run (metrics.jsonl, TensorBoard) and a meter of speed."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from tensorboardX import event_file_writer, summary
from tensorboardX.proto import event_pb2

from pic_jax.runtime import errors


class Log:
  """Appends scalars and pictures of a run to the logs in its workdir.

  Only process 0 writes. In other processes all methods do nothing.
  """

  def __init__(self, workdir: str):
    self._workdir, self._file, self._board = workdir, None, None
    if jax.process_index() == 0:
      path = pathlib.Path(workdir) / 'metrics.jsonl'
      is_cut_off = path.exists() and path.read_bytes()[-1:] not in (b'', b'\n')
      self._file = path.open('a')
      # A kill or a full disk may have cut off the last line. The next line must
      # not continue it.
      if is_cut_off:
        self._file.write('\n')
      # `SummaryWriter` is not used, because on a full disk its thread dies
      # silently, and then its full queue blocks the run.
      self._board = event_file_writer.EventsWriter(
        f'{workdir}/events', f'.{os.getpid()}'
      )

  def scalars(self, step: int, values: dict[str, Any]) -> None:
    """Appends one line of JSON and the TensorBoard scalars of a step.

    Args:
      step: number of steps done.
      values: JSON values, keyed by name. TensorBoard gets only the numbers.
    """
    if self._file is None or self._board is None:
      return
    with errors.with_file_name(self._workdir):
      self._file.write(json.dumps({'step': step, **values}) + '\n')
      self._file.flush()
      for name, value in values.items():
        if isinstance(value, int | float):
          self._board.write_event(_event(step, summary.scalar(name, value)))
      self._board.flush()

  def picture(self, step: int, name: str, rgb: np.ndarray) -> None:
    """Adds a picture [H, W, 3] uint8 to TensorBoard."""
    if self._board is not None:
      with errors.with_file_name(self._workdir):
        image = summary.image(name, rgb, dataformats='HWC')
        self._board.write_event(_event(step, image))
        self._board.flush()

  def close(self) -> None:
    """Closes the files."""
    if self._file is not None and self._board is not None:
      with errors.with_file_name(self._workdir):
        self._file.close()
        self._board.close()


def _event(step: int, content: Any) -> event_pb2.Event:
  return event_pb2.Event(summary=content, step=step, wall_time=time.time())


class Meter:
  """Measures the speed of training and the wait for data between reports."""

  def __init__(self) -> None:
    self.reset()

  def reset(self) -> None:
    """Starts a new interval to measure."""
    # All times are in seconds.
    self._start = time.perf_counter()
    self._waited = 0.0
    self._paused = 0.0
    self._steps = 0

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Counts one step, and counts the time in the context as waiting."""
    start = time.perf_counter()
    yield
    self._waited += time.perf_counter() - start
    self._steps += 1

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Excludes the time in the context from the measurement."""
    start = time.perf_counter()
    yield
    self._paused += time.perf_counter() - start

  def rates(self, batch_size: int, steps_left: int) -> dict[str, float]:
    """Computes the rates of the interval so far.

    Args:
      batch_size: number of images in a global batch.
      steps_left: number of steps until the end of training.

    Returns:
      Dict with the images per second in all and per device, the share 0..1 of
      the time spent waiting for data, and the seconds until the end.
    """
    elapsed = time.perf_counter() - self._start - self._paused
    step_seconds = elapsed / max(1, self._steps)
    return {
      'images_per_second': batch_size / step_seconds,
      'images_per_second_per_device': (
        batch_size / step_seconds / jax.device_count()
      ),
      'data_wait_share': self._waited / elapsed,
      'seconds_left': step_seconds * steps_left,
    }
