"""Checks for losses, gradients and parameters that are not finite."""

from typing import Any

import flax.traverse_util
import numpy as np

from pic_jax.model import parameters
from pic_jax.runtime import devices, errors
from pic_jax.training import train_step

# Consecutive updates that may be skipped before the run ends.
MAX_SKIPPED_IN_ROW = 10


def _not_finite(params: parameters.Params) -> list[str]:
  """Lists layers or blocks whose parameters (host arrays) are not finite."""
  flat = flax.traverse_util.flatten_dict(params)
  bad = [path for path, x in flat.items() if not np.isfinite(x).all()]
  return sorted({'/'.join(path[:2]) for path in bad})


def check_updates(
  step: int, parts: dict[str, Any], state: train_step.TrainState
) -> None:
  """Ends the run after too many skipped updates.

  Args:
    step: step of `parts`; a few steps back, so that the host need not wait.
    parts: metrics of the step.
    state: the current one, replicated.

  Raises:
    RunError: names what is not finite.
  """
  if int(devices.fetch(parts['skipped_in_row'])) < MAX_SKIPPED_IN_ROW:
    return
  groups = _not_finite(devices.fetch(state.params))
  what = 'parameters' if groups else 'gradient'
  if not groups:
    norms = devices.fetch(parts['group_norms'])
    groups = [name for name, x in norms.items() if not np.isfinite(x)]
  raise errors.RunError(
    f'{MAX_SKIPPED_IN_ROW} steps in a row, up to step {step}, gave a loss or '
    f'gradient that is not finite (first: {what} of '
    f'{groups[0] if groups else "the loss alone"}). Lower '
    '`optimizer.learning_rate`; the last checkpoint is kept.'
  )


def check_state(state: train_step.TrainState) -> None:
  """Refuses to save a state that is not finite.

  Args:
    state: on the host.

  Raises:
    RunError: names the first layer that is not finite.
  """
  bad = _not_finite(state.params) + _not_finite(state.ema_params)
  if bad:
    raise errors.RunError(
      f'Parameters of {bad[0]} are not finite at step {int(state.step)}: not '
      'saved, the last checkpoint is kept. Lower `optimizer.learning_rate`.'
    )
