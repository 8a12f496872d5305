"""Training (paper sec. 3.3, "Optimization", and 4)."""

import collections
import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections
import numpy as np

from pic_jax.data import input_pipeline, sources
from pic_jax.runtime import devices, errors, lock, run_log, signals
from pic_jax.saved import config_check, run_config
from pic_jax.training import colour_frequencies, description, train_step
from pic_jax.training import run as run_lib

# Steps after which the counters of a step are looked at: by then the device
# has them, so that the host does not wait.
CHECK_DELAY = 4


@contextlib.contextmanager
def _explained(config: ml_collections.ConfigDict) -> Iterator[None]:
  """Turns an out-of-memory error into a line that says what helps."""
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    training = config.training
    raise errors.RunError(
      'Out of device memory: lower `training.batch_size` '
      f'({training.batch_size}), set `model.remat` ({config.model.remat}) or '
      'use more devices.'
    ) from None


def train_and_evaluate(
  config: ml_collections.ConfigDict,
  workdir: str,
) -> train_step.TrainState:
  """Trains to `training.num_steps`; resumes what the workdir holds.

  Every process of a run calls it; process 0 writes.

  Args:
    config: checked.
    workdir: for checkpoints, logs and figures.

  Returns:
    The final state, replicated over the local devices.

  Raises:
    Stopped: SIGTERM or SIGINT came; the state is saved.
    RunError: the loss or the gradient stays infinite, the device's memory is
      too small, saving or restoring failed, or another process writes to the
      workdir.
  """
  config_check.check_devices(config, jax.device_count())
  changes = run_config.changes(config, workdir)
  for split in ('train_split', 'validation_split', 'test_split'):
    sources.parse_split(config.data[split], 0)
  source = input_pipeline.open_training(config.data)
  with contextlib.ExitStack() as stack:
    if devices.is_main():
      pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
      stack.enter_context(lock.hold(workdir))
      run_config.write(config, workdir)
    stops = stack.enter_context(signals.Signals())
    run = stack.enter_context(
      contextlib.closing(run_lib.Run(config, workdir, source))
    )
    stack.enter_context(_explained(config))
    run_log.say(
      description.to_text(description.run(config, len(source), workdir))
    )
    return _train(run, stops, changes)


def _train(
  run: run_lib.Run,
  stops: signals.Signals,
  changes: dict[str, tuple],
) -> train_step.TrainState:
  """The loop."""
  training = run.config.training
  state = run.first_state()
  step = int(state.step)
  if changes:
    run.log.scalars(step, {'config_changes': changes})
    run_log.say(f'Changed since the last start: {", ".join(changes)}.')
  state = devices.replicate(state)
  keys = devices.replicate(jax.random.key(training.seed))
  batches = input_pipeline.train_batches(run.dataset, step)
  meter = run_log.Meter()
  stop = 0  # number of the signal that asks for it
  recent = collections.deque()
  try:
    with _breakable(stops):
      step_fn = _compile(run, state, keys)
    while step < training.num_steps and not stop:
      start = time.perf_counter()
      rgb = devices.shard(next(batches))
      meter.count_step(time.perf_counter() - start)
      state, parts = step_fn(state, rgb, keys, _asked(stops))
      step += 1
      recent.append((step, parts))
      if len(recent) > CHECK_DELAY:
        seen_step, seen_parts = recent.popleft()
        run.check_skipped(seen_step, state, seen_parts)
        stop = int(devices.fetch(seen_parts['stop']))
      if _is_due(run, step, training.log_every_steps) or len(recent) == 1:
        run.report(step, parts, meter)
      _periodically(run, stops, state, step, meter)
      if jax.process_count() == 1:
        stop = stops.received or 0
  except signals.StopRequested:
    stop = stops.received  # a compilation, evaluation or grid was broken off
  if stop:
    run.save(state)
    run.wait_for_save()
    raise errors.Stopped(
      stop,
      f'saved step {step} in {run.workdir}; run the same command again to '
      'resume.',
    )
  for seen_step, seen_parts in recent:
    run.check_skipped(seen_step, state, seen_parts)
  return state


def _breakable(
  stops: signals.Signals,
) -> contextlib.AbstractContextManager[None]:
  """Lets a signal break off work, unless other processes share in it."""
  if jax.process_count() > 1:
    return contextlib.nullcontext()
  return stops.interruptible()


def _asked(stops: signals.Signals) -> np.ndarray:
  """The signal received [D], for the step: so all processes hear of it."""
  return np.full(jax.local_device_count(), stops.received or 0, np.int32)


def _compile(
  run: run_lib.Run, state: train_step.TrainState, keys: jax.Array
) -> Callable[..., Any]:
  """Compiles the step; says how long it took."""
  start = time.perf_counter()
  step_fn = train_step.train_step_fn(
    run.model,
    run.optimizer,
    run.config.optimizer.ema_decay,
    colour_frequencies.class_weights(
      run.model,
      run.train_source,
      run.config.training.rebalancing_share,
    ),
  )

  def step(state: Any, rgb: Any, key: Any, asked: Any) -> tuple[Any, Any]:
    state, parts = step_fn(state, rgb, key)
    return state, parts | {'stop': devices.maximum(asked)}

  step = devices.pmap(step, donate_argnums=(0,))
  if jax.process_count() > 1:
    # Ahead of time pmap compiles for the arrays of all processes, but is then
    # called with those of one: the first call has to compile.
    return step
  rgb = devices.shard(run.dataset[0])
  asked = np.zeros(jax.local_device_count(), np.int32)
  compiled = step.lower(state, rgb, keys, asked).compile()
  seconds = time.perf_counter() - start
  run_log.say(f'Compiled the step in {run_log.format_duration(seconds)}.')
  return compiled


def _is_due(run: run_lib.Run, step: int, every: int) -> bool:
  return every > 0 and (
    step % every == 0 or step == run.config.training.num_steps
  )


def _periodically(
  run: run_lib.Run,
  stops: signals.Signals,
  state: train_step.TrainState,
  step: int,
  meter: run_log.Meter,
) -> None:
  """Saves, evaluates and samples where it is due; left out of the rates."""
  start = time.perf_counter()
  training = run.config.training
  if _is_due(run, step, training.checkpoint_every_steps):
    run.save(state)
  if _is_due(run, step, training.eval_every_steps):
    with _breakable(stops):
      run.evaluate(state, step)
  if _is_due(run, step, training.sample_every_steps):
    with _breakable(stops):
      run.sample(state, step)
  meter.pause(time.perf_counter() - start)
