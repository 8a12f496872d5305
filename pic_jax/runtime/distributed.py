"""A run among others: its processes, one writer per workdir, signals."""

import contextlib
import fcntl
import glob
import importlib.util
import json
import os
import pathlib
import signal
import socket
import sys
import time
from collections.abc import Iterator
from types import FrameType

from pic_jax.runtime import errors

LOCK_FILE = '.lock'
# What starts the processes of a run by hand.
ADDRESS = 'JAX_COORDINATOR_ADDRESS'  # host:port of process 0
NUM_PROCESSES, PROCESS_ID = 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID'


def _launcher() -> str:
  """What, by the environment, started several processes; '' for nothing."""
  if os.environ.get(ADDRESS):
    return f'{ADDRESS} is set'
  if int(os.environ.get('SLURM_NTASKS') or 1) > 1:
    return f'Slurm started {os.environ["SLURM_NTASKS"]} tasks'
  chips = glob.glob('/dev/accel*') + glob.glob('/dev/vfio/[0-9]*')
  if chips and importlib.util.find_spec('libtpu'):
    return 'this is a TPU host'
  return ''


def _by_hand() -> dict[str, int | str]:
  """Arguments of `jax.distributed.initialize` from the environment."""
  values = {ADDRESS: os.environ[ADDRESS]}
  for name in (NUM_PROCESSES, PROCESS_ID):
    text = os.environ.get(name, '')
    if not text.isdigit():
      raise errors.UserError(
        f'{ADDRESS} is set, so {name} must be a number, got {text!r}.'
      )
    values[name] = int(text)
  if values[PROCESS_ID] >= values[NUM_PROCESSES]:
    raise errors.UserError(
      f'{PROCESS_ID} must be below {NUM_PROCESSES}, '
      f'got {values[PROCESS_ID]} and {values[NUM_PROCESSES]}.'
    )
  names = ('coordinator_address', 'num_processes', 'process_id')
  return dict(zip(names, values.values(), strict=True))


def join_processes(mode: str, heartbeat_seconds: int) -> None:
  """Connects the processes of a run; says why, or why not.

  Before anything asks for a device.

  Args:
    mode: 'on', 'off', or 'auto': if the environment speaks of several.
    heartbeat_seconds: a process that is silent for so long ends all others.

  Raises:
    UserError: the settings are incomplete, or nobody answers.
  """
  launcher = _launcher()
  if mode == 'off' or (mode == 'auto' and not launcher):
    why = launcher or 'the environment speaks of no others'
    print(f'One process (--distributed={mode}; {why}).', file=sys.stderr)
    return
  # Imported here: what only locks or handles signals does not need it.
  import jax

  # Else a handler of its own takes SIGTERM: `Signals` agrees on a step.
  jax.config.update('jax_enable_preemption_service', False)
  by_hand = _by_hand() if os.environ.get(ADDRESS) else {}
  try:
    jax.distributed.initialize(
      **by_hand, heartbeat_timeout_seconds=heartbeat_seconds
    )
  except (ValueError, RuntimeError) as error:
    raise errors.UserError(
      f'--distributed={mode} ({launcher or "asked for"}) failed: '
      f'{" ".join(str(error).split())[:200]} By hand, set {ADDRESS}, '
      f'{NUM_PROCESSES} and {PROCESS_ID}.'
    ) from None
  if jax.process_index() == 0:
    print(
      f'{jax.process_count()} processes (--distributed={mode}; '
      f'{launcher or "asked for"}), heartbeat {heartbeat_seconds} s.',
      file=sys.stderr,
    )


def leave_processes() -> None:
  """Says goodbye, so that the others do not take this process for dead."""
  import jax

  if jax.distributed.is_initialized():
    jax.distributed.shutdown()


@contextlib.contextmanager
def lock(workdir: str | os.PathLike) -> Iterator[None]:
  """Holds a workdir for this process; the lock dies with its holder.

  Exact on a local disk, best effort on network file systems.

  Raises:
    RunError: names host, process and start of the other run.
  """
  path = pathlib.Path(workdir) / LOCK_FILE
  with path.open('a+') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise errors.RunError(_holder(workdir, file.read())) from None
    file.truncate(0)
    holder = {
      'host': socket.gethostname(),
      'pid': os.getpid(),
      'start': time.strftime('%Y-%m-%d %H:%M:%S'),
    }
    file.write(json.dumps(holder))
    file.flush()
    yield


def _holder(workdir: str | os.PathLike, text: str) -> str:
  try:
    holder = json.loads(text)
    who = 'by process {pid} on {host} since {start}'.format(**holder)
  except (ValueError, KeyError, TypeError):
    who = 'by another process'
  return f'{workdir} is in use {who}: stop that run, or choose another workdir.'


class StopRequested(BaseException):
  """Raised by a signal inside `Signals.interruptible`.

  Not an Exception, so that no handler of a library swallows it.
  """


class Signals:
  """Turns SIGTERM and SIGINT into a request to stop at the next good moment.

  A second SIGINT ends the process at once.

  Attributes:
    received: number of the signal, or None.
  """

  def __init__(self) -> None:
    self.received: int | None = None
    self._interruptible = False
    self._before: dict[int, signal.Handlers] = {}

  def __enter__(self) -> 'Signals':
    for number in (signal.SIGTERM, signal.SIGINT):
      self._before[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _handle(self, number: int, _: FrameType | None) -> None:
    if self.received is not None and number == signal.SIGINT:
      os._exit(128 + signal.SIGINT)
    self.received = number
    if self._interruptible:
      self._interruptible = False
      raise StopRequested

  @contextlib.contextmanager
  def interruptible(self) -> Iterator[None]:
    """Work that a signal may break off: it changes nothing that is saved."""
    if self.received is not None:
      raise StopRequested
    self._interruptible = True
    try:
      yield
    finally:
      self._interruptible = False
