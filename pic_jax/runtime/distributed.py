"""Detection of runs with several processes, and connection of the processes."""

import glob
import importlib.util
import os
import sys
from typing import Any

from pic_jax.runtime import errors

# Environment variables that a user sets to start the processes by hand.
# `ADDRESS` holds host:port of process 0, and JAX itself reads it.
ADDRESS = 'JAX_COORDINATOR_ADDRESS'
# Argument of `jax.distributed.initialize` -> variable that holds its value.
BY_HAND = {'num_processes': 'JAX_NUM_PROCESSES', 'process_id': 'JAX_PROCESS_ID'}
# Launcher -> variable that holds the number of processes.
LAUNCHERS = {'Slurm': 'SLURM_NTASKS', 'Open MPI': 'OMPI_COMM_WORLD_SIZE'}

# If a process sends no heartbeat for this long, JAX ends the other processes.
HEARTBEAT_SECONDS = 100


def _detect_launcher() -> str:
  """Detects whether this process is one of several.

  Returns:
    Text that says how several processes were detected, or '' if the process
    seems to be alone.
  """
  if os.environ.get(ADDRESS):
    return f'{ADDRESS} is set'
  for name, variable in LAUNCHERS.items():
    if int(os.environ.get(variable) or 1) > 1:
      return f'{name} started {os.environ[variable]} processes'
  chips = glob.glob('/dev/accel*') + glob.glob('/dev/vfio/[0-9]*')
  if chips and importlib.util.find_spec('libtpu'):
    return 'this is a TPU host'
  return ''


def _read_by_hand() -> dict[str, int]:
  """Reads the variables `BY_HAND`.

  Returns:
    Arguments of `jax.distributed.initialize`.

  Raises:
    UserError: if a variable is not set to a number.
  """
  values = {}
  for argument, name in BY_HAND.items():
    text = os.environ.get(name, '')
    if not text.isdigit():
      raise errors.UserError(
        f'{ADDRESS} is set, so {name} must be a number, got {text!r}.'
      )
    values[argument] = int(text)
  return values


def connect(asked: bool | None) -> None:
  """Connects the processes of a run, if there are several.

  Must be called before the first use of a device. A line on stderr says whether
  processes were connected, and why.

  Args:
    asked: value of the flag --distributed. None connects the processes if
      there seem to be several.

  Raises:
    UserError: if the settings are incomplete, or process 0 does not answer.
  """
  launcher = _detect_launcher()
  should_connect = bool(launcher) if asked is None else asked
  if not should_connect:
    why = '--nodistributed' if launcher else 'no launcher detected'
    print(f'Single process ({why}).', file=sys.stderr)
    return
  # Imported here, so that mistakes in flags are reported quickly.
  import jax

  # JAX's own handler of SIGTERM would replace the handler of `signals.Signals`,
  # which lets all processes stop after the same step.
  jax.config.update('jax_enable_preemption_service', False)
  is_by_hand = bool(os.environ.get(ADDRESS))
  arguments: dict[str, Any] = _read_by_hand() if is_by_hand else {}
  why = launcher or '--distributed'
  try:
    jax.distributed.initialize(
      **arguments, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
    )
  except (ValueError, RuntimeError) as error:
    raise errors.UserError(
      f'Connecting to the other processes ({why}) failed: '
      f'{" ".join(str(error).split())[:200]} To start processes by hand, set '
      f'{ADDRESS}, {" and ".join(BY_HAND.values())}. To run a single process, '
      'give --nodistributed.'
    ) from None
  if jax.process_index() == 0:
    print(
      f'{jax.process_count()} processes ({why}), '
      f'heartbeat {HEARTBEAT_SECONDS} s.',
      file=sys.stderr,
    )


def disconnect() -> None:
  """Disconnects this process, so that the others do not time out."""
  import jax

  if jax.distributed.is_initialized():
    jax.distributed.shutdown()
