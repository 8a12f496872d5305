"""Learning curves of training runs, from their logs."""

import json
import math
import os
import pathlib
from collections.abc import Sequence

from pic_jax.runtime import errors
from pic_jax.saved import run_config

SCORE = 'validation_bits_per_dim'
BATCH_SIZE = 'training.batch_size'


def read(run: pathlib.Path) -> dict[int, float]:
  """Returns {number of images trained on: validation bits/dim, exact rule}.

  Raises:
    UserError: `run` is not a training run, or has no validation bits/dim.
  """
  path = run / 'metrics.jsonl'
  try:
    config = run_config.from_json((run / run_config.CONFIG_FILE).read_text())
    lines = path.read_text(errors='replace').splitlines()
  except (OSError, errors.UserError):
    raise errors.UserError(
      f'{run} is not the workdir of a training run.'
    ) from None
  scores, sizes, has_loss = {}, {}, False
  for line in lines:
    try:
      record = json.loads(line)
    except ValueError:
      continue  # a line cut off when the run was killed
    if not isinstance(record, dict):
      continue
    has_loss |= 'validation_loss' in record
    if SCORE in record:
      scores[record['step']] = record[SCORE]
    if BATCH_SIZE in record.get('config_changes', {}):
      step, (before, _) = record['step'], record['config_changes'][BATCH_SIZE]
      # Steps after it are redone.
      sizes = {last: x for last, x in sizes.items() if last < step}
      sizes[step] = before
  if has_loss:
    raise errors.UserError(
      f'{run} has no bits/dim: `model.head={config.model.head}` has no '
      'likelihood.'
    )
  if not scores:
    raise errors.UserError(
      f'{path} has no validation scores: `training.eval_every_steps`.'
    )
  sizes[math.inf] = config.training.batch_size
  return {_num_images(step, sizes): score for step, score in scores.items()}


def _num_images(step: int, sizes: dict[float, int]) -> int:
  """Number of images trained on up to a step, from {last step: batch size}."""
  total = first = 0
  for last, size in sizes.items():
    total += size * max(0, min(step, last) - first)
    first = last
  return total


def draw(runs: Sequence[pathlib.Path], path: pathlib.Path) -> None:
  """Plots validation bits/dim against images trained on, a curve for each run.

  Args:
    runs: workdirs.
    path: PNG file to write.

  Raises:
    UserError: see `read`.
  """
  # Imported here, because only this needs it.
  import matplotlib.figure

  names = [os.path.basename(os.path.abspath(run)) for run in runs]
  figure = matplotlib.figure.Figure((6, 3.5), layout='constrained')
  axes = figure.subplots()
  for run, name in zip(runs, names, strict=True):
    curve = read(run)
    name = name if names.count(name) == 1 else str(run)
    axes.plot(list(curve), list(curve.values()), marker='.', label=name)
  axes.set_xlabel('images')
  axes.set_ylabel('validation bits/dim, exact rule')
  axes.grid(alpha=0.3)
  axes.legend()
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(path, dpi=120)
