"""Launch detection and start of the processes of a run."""

import glob
import importlib.util
import os
import sys

from pic_jax.runtime import errors

# Environment of processes that are started by hand. JAX itself reads the first,
# host:port of process 0.
ADDRESS = 'JAX_COORDINATOR_ADDRESS'
BY_HAND = {'num_processes': 'JAX_NUM_PROCESSES', 'process_id': 'JAX_PROCESS_ID'}
# Variables that hold the number of processes, by launcher.
LAUNCHERS = {'Slurm': 'SLURM_NTASKS', 'Open MPI': 'OMPI_COMM_WORLD_SIZE'}

# A process that is silent for this long ends all others.
HEARTBEAT_SECONDS = 100


def _launcher() -> str:
  """Detects what started several processes; '' for nothing."""
  if os.environ.get(ADDRESS):
    return f'{ADDRESS} is set'
  for name, variable in LAUNCHERS.items():
    if int(os.environ.get(variable) or 1) > 1:
      return f'{name} started {os.environ[variable]} processes'
  chips = glob.glob('/dev/accel*') + glob.glob('/dev/vfio/[0-9]*')
  if chips and importlib.util.find_spec('libtpu'):
    return 'this is a TPU host'
  return ''


def _by_hand() -> dict[str, int]:
  """Arguments of `jax.distributed.initialize` that JAX does not read itself."""
  values = {}
  for argument, name in BY_HAND.items():
    text = os.environ.get(name, '')
    if not text.isdigit():
      raise errors.UserError(
        f'{ADDRESS} is set, so {name} must be a number, got {text!r}.'
      )
    values[argument] = int(text)
  return values


def join_processes(asked: bool | None) -> None:
  """Connects the processes of a run and prints the reason.

  Must run before the first use of a device.

  Args:
    asked: --distributed; None joins if a launcher is detected.

  Raises:
    UserError: the settings are incomplete, or process 0 does not answer.
  """
  launcher = _launcher()
  if not (launcher if asked is None else asked):
    why = '--nodistributed' if launcher else 'no launcher detected'
    print(f'Single process ({why}).', file=sys.stderr)
    return
  # Imported here, so that mistakes in flags are reported quickly.
  import jax

  # Otherwise JAX's own handler takes SIGTERM; `Signals` agrees on a step.
  jax.config.update('jax_enable_preemption_service', False)
  by_hand = _by_hand() if os.environ.get(ADDRESS) else {}
  why = launcher or '--distributed'
  try:
    jax.distributed.initialize(
      **by_hand, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
    )
  except (ValueError, RuntimeError) as error:
    raise errors.UserError(
      f'Joining other processes ({why}) failed: '
      f'{" ".join(str(error).split())[:200]} By hand, set {ADDRESS}, '
      f'{" and ".join(BY_HAND.values())}; alone, give --nodistributed.'
    ) from None
  if jax.process_index() == 0:
    print(
      f'{jax.process_count()} processes ({why}), '
      f'heartbeat {HEARTBEAT_SECONDS} s.',
      file=sys.stderr,
    )


def leave_processes() -> None:
  """Disconnects, so that the other processes do not time out."""
  import jax

  if jax.distributed.is_initialized():
    jax.distributed.shutdown()
