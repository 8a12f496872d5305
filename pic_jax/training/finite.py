"""Checks that losses, gradients and parameters are finite."""

from typing import Any

import flax.traverse_util
import numpy as np

from pic_jax.model import parameters
from pic_jax.runtime import devices, errors
from pic_jax.training import train_step

# The run ends once this many updates in a row have been skipped.
MAX_SKIPPED_IN_ROW = 10


def _not_finite(params: parameters.Params) -> list[str]:
  """Lists the layers and blocks whose parameters are not finite.

  Args:
    params: parameters of `PIC`, on the host.

  Returns:
    Sorted names 'network/layer', as in `train_step.group_norms`.
  """
  flat = flax.traverse_util.flatten_dict(params)
  bad = [path for path, x in flat.items() if not np.isfinite(x).all()]
  return sorted({'/'.join(path[:2]) for path in bad})


def check_updates(
  step: int, metrics: dict[str, Any], state: train_step.TrainState
) -> None:
  """Checks that fewer than `MAX_SKIPPED_IN_ROW` updates in a row were skipped.

  Args:
    step: number of the step to check. The loop passes a step that is a few
      steps old, which the device has finished, so the host need not wait.
    metrics: metrics of that step, replicated over the local devices.
    state: the current state, replicated over the local devices.

  Raises:
    RunError: if that many were skipped. The message says what is not finite.
  """
  if int(devices.fetch(metrics['skipped_in_row'])) < MAX_SKIPPED_IN_ROW:
    return
  bad = _not_finite(devices.fetch(state.params))
  kind = 'parameters' if bad else 'gradient'
  if not bad:
    norms = devices.fetch(metrics['group_norms'])
    bad = [name for name, x in norms.items() if not np.isfinite(x)]
  where = f'for instance the {kind} of {bad[0]}' if bad else 'only the loss'
  raise errors.RunError(
    f'{MAX_SKIPPED_IN_ROW} steps in a row, up to step {step}, gave a loss or '
    f'gradient that is not finite ({where}). The last checkpoint is kept. '
    'Resume with a lower `optimizer.learning_rate`.'
  )


def check_state(state: train_step.TrainState) -> None:
  """Checks that the parameters and their average are finite, before saving.

  Args:
    state: the state, on the host.

  Raises:
    RunError: if they are not finite. The message names the first such layer.
  """
  bad = _not_finite(state.params) + _not_finite(state.ema_params)
  if bad:
    raise errors.RunError(
      f'Parameters of {bad[0]} are not finite at step {int(state.step)}, so '
      'they were not saved. The last checkpoint is kept. Resume with a lower '
      '`optimizer.learning_rate`.'
    )
