"""Where a run writes what happens: stderr, metrics.jsonl, TensorBoard."""

import json
import pathlib
import sys
import time
from typing import Any

import numpy as np
import tensorboardX


class Log:
  """Writes scalars and pictures of a run; continues the files of a workdir."""

  def __init__(self, workdir: str):
    self._file = (pathlib.Path(workdir) / 'metrics.jsonl').open('a')
    self._board = tensorboardX.SummaryWriter(workdir)

  def scalars(self, step: int, values: dict[str, Any]) -> None:
    """Appends one line of JSON and the TensorBoard scalars of a step."""
    self._file.write(json.dumps({'step': step, **values}) + '\n')
    self._file.flush()
    for name, value in values.items():
      if isinstance(value, int | float):
        self._board.add_scalar(name, value, step)

  def picture(self, step: int, name: str, rgb: np.ndarray) -> None:
    """Shows [H, W, 3] uint8 in TensorBoard."""
    self._board.add_image(name, rgb, step, dataformats='HWC')

  def close(self) -> None:
    self._file.close()
    self._board.close()


def say(text: str) -> None:
  """One line for the person who watches."""
  print(text, file=sys.stderr, flush=True)


def format_duration(seconds: float) -> str:
  """1:02:03 or 02:03."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  text = f'{minutes:02d}:{seconds:02d}'
  return f'{hours}:{text}' if hours else text


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

  def count_step(self, waited: float) -> None:
    """Counts a step, before which the loop waited for data."""
    self._steps += 1
    self._waited += waited

  def pause(self, seconds: float) -> None:
    """Leaves out time spent on evaluation, sampling or saving."""
    self._paused += seconds

  def rates(self, batch_size: int, steps_left: int) -> dict[str, float]:
    """Images/s, share of time waiting for data, seconds to go."""
    elapsed = time.perf_counter() - self._start - self._paused
    per_step = elapsed / max(1, self._steps)
    return {
      'images_per_second': batch_size / per_step,
      'data_wait_share': self._waited / elapsed,
      'seconds_left': per_step * steps_left,
    }
