"""Wall and core seconds of calls, costs of programs, a device's peak."""

import functools
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# A measurement repeats calls for at least, and goes on for at most.
MIN_SECONDS, MAX_SECONDS = 0.2, 15.0
MAX_CALLS = 50
WALL, CORE = 0, 1  # last axis of what `measure` returns


def _clock(call: Callable[[], Any], num_calls: int) -> tuple[float, float]:
  """Wall and core seconds of one call."""

  def core_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

  wall, core = time.perf_counter(), core_seconds()
  for _ in range(num_calls):
    result = call()
  jax.block_until_ready(result)
  wall, core = time.perf_counter() - wall, core_seconds() - core
  return wall / num_calls, core / num_calls


def measure(calls: Sequence[Callable[[], Any]], repeats: int) -> np.ndarray:
  """Times several calls in turns, so that other load meets all of them.

  Returns:
    [repeats, calls, 2]: wall and core seconds. A first round warms up and
    counts only if it took so long that no other follows: compile beforehand.
  """
  start = time.perf_counter()
  first = [_clock(call, 1) for call in calls]
  num_calls = [int(np.clip(MIN_SECONDS / t[WALL], 1, MAX_CALLS)) for t in first]
  rounds = []
  while len(rounds) < repeats and time.perf_counter() - start < MAX_SECONDS:
    rounds.append(
      [_clock(*pair) for pair in zip(calls, num_calls, strict=True)]
    )
  return np.array(rounds or [first])


def cost(times: np.ndarray) -> np.ndarray:
  """Of times [..., 2], the seconds [...] that compare within a run.

  On CPU core seconds, which do not change with what else the machine does;
  those of an accelerator's host say nothing, so there wall seconds.
  """
  return times[..., CORE if jax.default_backend() == 'cpu' else WALL]


def compile_ahead(
  fn: Callable[..., Any], *args: Any
) -> tuple[Callable[..., Any], dict[str, float]]:
  """Compiles `fn` (from jit or pmap); also gives what a row says about it."""
  start = time.perf_counter()
  compiled = fn.lower(*args).compile()
  seconds = time.perf_counter() - start
  # Not the device's own count, which is one high-water mark of the process.
  memory = compiled.memory_analysis()
  peak_bytes = (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes
  )
  return compiled, {'compile_seconds': seconds, 'peak_bytes': peak_bytes}


def conv_flops(fn: Callable[..., Any], *args: Any) -> float:
  """FLOP of all convolutions of `fn`, zeros of the padding included.

  Counted here, because XLA's own count misses calls into libraries and is not
  there on every device.
  """
  return sum(
    2.0 * eqn.outvars[0].aval.size * np.prod(eqn.invars[1].aval.shape[:-1])
    for eqn in jax.make_jaxpr(fn)(*args).eqns
    if eqn.primitive.name == 'conv_general_dilated'
  )


def matrix_flops(size: int, dtype: jnp.dtype, repeats: int) -> float:
  """FLOP/s of one device (on CPU: of one core) in products of matrices."""
  x = jnp.ones((size, size), dtype)
  precision = 'highest' if dtype == jnp.float32 else None
  product = jax.jit(functools.partial(jnp.matmul, precision=precision))
  product, _ = compile_ahead(product, x, x)
  times = measure([lambda: product(x, x)], repeats)
  return float(2.0 * size**3 / np.median(cost(times)))
