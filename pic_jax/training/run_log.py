"""The record of a training run: metrics.jsonl, TensorBoard, rates."""

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
  """Writes scalars and pictures of a run; continues the files of a workdir.

  Process 0 writes, the others do nothing.
  """

  def __init__(self, workdir: str):
    self._workdir, self._file, self._board = workdir, None, None
    if jax.process_index() == 0:
      path = pathlib.Path(workdir) / 'metrics.jsonl'
      is_cut_off = path.exists() and path.read_bytes()[-1:] not in (b'', b'\n')
      self._file = path.open('a')
      if is_cut_off:  # by a kill or a full disk: the next line stands alone
        self._file.write('\n')
      # Not `SummaryWriter`: on a full disk its thread dies silently, and then
      # its full queue blocks the run.
      self._board = event_file_writer.EventsWriter(
        f'{workdir}/events', f'.{os.getpid()}'
      )

  def scalars(self, step: int, values: dict[str, Any]) -> None:
    """Appends one line of JSON and the TensorBoard scalars of a step."""
    if self._file is None:
      return
    with errors.naming(self._workdir):
      self._file.write(json.dumps({'step': step, **values}) + '\n')
      self._file.flush()
      for name, value in values.items():
        if isinstance(value, int | float):
          self._show(step, summary.scalar(name, value))
      self._board.flush()

  def picture(self, step: int, name: str, rgb: np.ndarray) -> None:
    """Shows [H, W, 3] uint8 in TensorBoard."""
    if self._board is not None:
      with errors.naming(self._workdir):
        self._show(step, summary.image(name, rgb, dataformats='HWC'))
        self._board.flush()

  def close(self) -> None:
    if self._file is not None:
      with errors.naming(self._workdir):
        self._file.close()
        self._board.close()

  def _show(self, step: int, content: Any) -> None:
    event = event_pb2.Event(summary=content, step=step, wall_time=time.time())
    self._board.write_event(event)


class Meter:
  """Rates between two log lines: steps, time, time spent waiting for data."""

  def __init__(self) -> None:
    self.reset()

  def reset(self) -> None:
    """Starts a new interval."""
    self._start = time.perf_counter()
    self._waited = 0.0
    self._paused = 0.0
    self._steps = 0

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Measures the time in which a step waits for data; counts the step."""
    start = time.perf_counter()
    yield
    self._waited += time.perf_counter() - start
    self._steps += 1

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Excludes time: of evaluation, sampling or saving."""
    start = time.perf_counter()
    yield
    self._paused += time.perf_counter() - start

  def rates(self, batch_size: int, steps_left: int) -> dict[str, float]:
    """Images/s, share of time waiting for data, remaining seconds."""
    elapsed = time.perf_counter() - self._start - self._paused
    per_step = elapsed / max(1, self._steps)
    return {
      'images_per_second': batch_size / per_step,
      'images_per_second_per_device': (
        batch_size / per_step / jax.device_count()
      ),
      'data_wait_share': self._waited / elapsed,
      'seconds_left': per_step * steps_left,
    }
