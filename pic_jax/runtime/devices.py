"""Distribution of work over devices (`jax.pmap`) and hosts.

Every process of a run must call the same mapped functions in the same order.
"""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from pic_jax.runtime import errors

AXIS = 'devices'


def check() -> None:
  """Initialises the devices and connects the processes.

  Raises:
    UserError: if JAX_PLATFORMS asks for a kind of device that is not there.
  """
  try:
    jax.devices()
  # JAX raises an AssertionError for 'cuda' and a RuntimeError for other kinds.
  except (RuntimeError, AssertionError) as error:
    platforms = os.environ.get('JAX_PLATFORMS', '')
    reason = str(error).partition(' (')[0] or 'there is no such device'
    raise errors.UserError(
      f'JAX_PLATFORMS={platforms}: {reason}. Set JAX_PLATFORMS=cpu to use the '
      'CPU.'
    ) from None
  _connect()


def _connect() -> None:
  """Waits for all processes and runs one small collective of each kind.

  On CPUs the first collective fails if a process is more than 30 s late, for
  instance because it compiles more slowly. Later collectives wait longer.
  """
  count = jax.process_count()
  if count == 1:
    return
  # Imported here, because only runs of several processes need it.
  from orbax.checkpoint import multihost

  indices = set(range(count))
  multihost.sync_global_processes('connect', timeout=3600, processes=indices)
  zeros = np.zeros(jax.local_device_count(), np.float32)
  jax.block_until_ready(pmap(mean)(zeros))
  gather(broadcast(zeros))


def standard_numerics() -> contextlib.ExitStack:
  """Returns a context in which JAX ignores numeric flags set by the user.

  A notebook or the environment may have set such flags for other code. Inside
  the context, numbers have 32 bits, types are promoted in the standard way,
  and a seed always gives the same random numbers.
  """
  stack = contextlib.ExitStack()
  stack.enter_context(jax.enable_x64(False))
  stack.enter_context(jax.numpy_dtype_promotion('standard'))
  stack.enter_context(jax.default_prng_impl('threefry2x32'))
  stack.enter_context(jax.threefry_partitionable(True))
  return stack


def pmap(
  fn: Callable[..., Any], donate_argnums: tuple[int, ...] = ()
) -> Callable[..., Any]:
  """Maps `fn` over the first axis of its arguments, one entry per device."""
  return jax.pmap(fn, axis_name=AXIS, donate_argnums=donate_argnums)


def mean(tree: Any) -> Any:
  """Averages arrays over all devices of all hosts, inside a mapped function."""
  return jax.lax.pmean(tree, AXIS)


def maximum(tree: Any) -> Any:
  """Returns the maximum over all devices of all hosts, in a mapped function."""
  return jax.lax.pmax(tree, AXIS)


def index() -> jax.Array:
  """Returns a device's index among all hosts' devices, in a mapped function."""
  return jax.lax.axis_index(AXIS)


def replicate(tree: Any) -> Any:
  """Copies arrays [...] to each of D local devices and returns [D, ...]."""
  copies = jax.pmap(lambda _, tree: tree, in_axes=(0, None))
  return copies(np.arange(jax.local_device_count()), tree)


def shard(tree: Any) -> Any:
  """Reshapes arrays [B, ...] to [D, B / D, ...] for D local devices."""
  count = jax.local_device_count()
  return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), tree)


def unshard(tree: Any) -> Any:
  """Fetches mapped results [D, b, ...] as numpy arrays [D * b, ...]."""
  return jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), tree)


def fetch(tree: Any) -> Any:
  """Fetches one replica of replicated arrays [D, ...] as numpy [...]."""
  return jax.tree.map(
    lambda x: np.asarray(x.addressable_shards[0].data)[0], tree
  )


def is_main() -> bool:
  """Returns whether this is the process that writes files and results."""
  return jax.process_index() == 0


def num_processes() -> int:
  """Returns the number of processes of this run, on all hosts."""
  return jax.process_count()


def round_up(batch_size: int) -> int:
  """Rounds a batch size up to a multiple of the devices of all hosts."""
  count = jax.device_count()
  return -(-batch_size // count) * count


def broadcast(tree: Any) -> Any:
  """Returns the arrays of process 0, on all processes.

  Args:
    tree: arrays, which must have the same shapes on all processes.
  """
  if jax.process_count() == 1:
    return tree
  return multihost_utils.broadcast_one_to_all(tree)


def gather(tree: Any) -> Any:
  """Concatenates the numpy arrays [b, ...] of all processes to [B, ...]."""
  if jax.process_count() == 1:
    return tree
  return multihost_utils.process_allgather(tree, tiled=True)
