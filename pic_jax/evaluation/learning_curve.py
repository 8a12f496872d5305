"""Learning curves of training runs, read from `metrics.jsonl`."""

import json
import math
import os
import pathlib
from collections.abc import Sequence

from pic_jax.runtime import errors
from pic_jax.saved import run_config

SCORE_KEY = 'validation_bits_per_dim'
BATCH_SIZE_KEY = 'training.batch_size'


def read(run: pathlib.Path) -> dict[int, float]:
  """Reads the validation scores of a run.

  Args:
    run: path of the workdir.

  Returns:
    The validation bits/dim by the exact rule, keyed by the number of images
    that the run had trained on at that point.

  Raises:
    UserError: if `run` is not the workdir of a training run, or its log has no
      validation bits/dim.
  """
  path = run / 'metrics.jsonl'
  try:
    config = run_config.from_json((run / run_config.CONFIG_FILE).read_text())
    lines = path.read_text(errors='replace').splitlines()
  except (OSError, errors.UserError):
    raise errors.UserError(
      f'{run} is not the workdir of a training run.'
    ) from None
  # `batch_sizes` has each batch size, keyed by the last step that used it.
  scores, batch_sizes, has_other_loss = {}, {}, False
  for line in lines:
    try:
      record = json.loads(line)
    except ValueError:
      continue  # a line cut off when the run was killed
    if not isinstance(record, dict):
      continue
    has_other_loss |= 'validation_loss' in record
    if SCORE_KEY in record:
      scores[record['step']] = record[SCORE_KEY]
    changes = record.get('config_changes', {})
    if BATCH_SIZE_KEY in changes:
      # The run resumed from `step` with a new batch size. If it had already
      # logged changes at this or a later step, they no longer apply, because
      # these steps are trained again.
      step, (old_size, _) = record['step'], changes[BATCH_SIZE_KEY]
      batch_sizes = {last: x for last, x in batch_sizes.items() if last < step}
      batch_sizes[step] = old_size
  if has_other_loss:
    raise errors.UserError(
      f'{run} has no bits/dim: `model.head={config.model.head}` has no '
      'likelihood.'
    )
  if not scores:
    raise errors.UserError(
      f'{path} has no validation scores. Set `training.eval_every_steps` to '
      'log them.'
    )
  batch_sizes[math.inf] = config.training.batch_size
  return {
    _num_images(step, batch_sizes): score for step, score in scores.items()
  }


def _num_images(step: int, batch_sizes: dict[float, int]) -> int:
  """Counts the images trained on up to a step.

  Args:
    step: number of the step.
    batch_sizes: each batch size, keyed by the last step that used it, in
      ascending order.
  """
  total = begin = 0
  for last, batch_size in batch_sizes.items():
    end = int(min(step, last))  # the last key is infinite
    total += batch_size * max(0, end - begin)
    begin = end
  return total


def plot(runs: Sequence[pathlib.Path], path: pathlib.Path) -> None:
  """Plots validation bits/dim against the number of training images seen.

  Each run has a curve.

  Args:
    runs: workdirs of the runs.
    path: path of the PNG file to write.

  Raises:
    UserError: see `read`.
  """
  # Imported here, because no other function needs matplotlib.
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
