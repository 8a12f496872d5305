"""Learning curves of training runs, from their logs."""

import json
import os
import pathlib
from collections.abc import Sequence

from pic_jax.runtime import errors
from pic_jax.saved import run_config

SCORE = 'validation_bits_per_dim'


def read(run: pathlib.Path) -> dict[int, float]:
  """Validation bits/dim (exact rule) by the number of images trained on.

  Raises:
    UserError: not a run, or one that was never evaluated.
  """
  path = run / 'metrics.jsonl'
  try:
    config = run_config.from_json((run / run_config.CONFIG_FILE).read_text())
    lines = path.read_text(errors='replace').splitlines()
  except (OSError, errors.UserError):
    raise errors.UserError(
      f'{run} is not the workdir of a training run.'
    ) from None
  curve, has_loss = {}, False
  for line in lines:
    try:
      record = json.loads(line)
    except ValueError:
      continue  # cut off by a kill
    if not isinstance(record, dict):
      continue
    has_loss |= 'validation_loss' in record
    if SCORE in record:
      curve[record['step'] * config.training.batch_size] = record[SCORE]
  if has_loss:
    raise errors.UserError(
      f'{run} has no bits/dim: `model.head={config.model.head}` has no '
      'likelihood.'
    )
  if not curve:
    raise errors.UserError(
      f'{path} has no validation scores: `training.eval_every_steps`.'
    )
  return curve


def draw(runs: Sequence[pathlib.Path], path: pathlib.Path) -> None:
  """Plots the validation bits/dim of runs over the images that they saw.

  Args:
    runs: workdirs.
    path: of the PNG file.

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
