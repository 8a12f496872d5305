"""Training (paper sec. 3.3, "Optimization", and 4)."""

import collections
import contextlib
import pathlib
import time
from collections.abc import Iterator

import jax
import ml_collections

from pic_jax import (
  checkpoint,
  devices,
  input_pipeline,
  progress,
  runtime,
  train_state,
)
from pic_jax import config as config_lib
from pic_jax import run as run_lib

# Steps after which the counters of a step are looked at: by then the device
# has them, so that the host does not wait.
CHECK_DELAY = 4


class Stopped(Exception):
  """A signal ended the run, which is saved.

  Attributes:
    signal_number: which signal.
    step: that was saved.
  """

  def __init__(self, signal_number: int, step: int):
    super().__init__(signal_number, step)
    self.signal_number = signal_number
    self.step = step


def check_workdir(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Compares the config with the one that a workdir already has.

  Raises:
    config_lib.ConfigError: the workdir belongs to another model or data.
  """
  path = pathlib.Path(workdir) / 'config.json'
  if path.exists() and checkpoint.saved_steps(workdir):
    try:
      before = config_lib.from_json(path.read_text())
    except config_lib.ConfigError as error:
      raise config_lib.ConfigError(f'{path}: {error}') from None
    config_lib.check_same_run(before, config, workdir)


@contextlib.contextmanager
def _explained(config: ml_collections.ConfigDict) -> Iterator[None]:
  """Turns an out-of-memory error into a line that says what helps."""
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    training = config.training
    raise run_lib.TrainingError(
      'Out of device memory: lower `training.batch_size` '
      f'({training.batch_size}), raise `training.accumulation_steps` '
      f'({training.accumulation_steps}) or set `model.remat` '
      f'({config.model.remat}).'
    ) from None


def train_and_evaluate(
  config: ml_collections.ConfigDict, workdir: str
) -> train_state.TrainState:
  """Trains to `training.num_steps`; resumes what the workdir holds.

  Args:
    config: checked.
    workdir: for checkpoints, logs and figures.

  Returns:
    The final state, replicated over the local devices.

  Raises:
    Stopped: SIGTERM or SIGINT came; the state is saved.
    run.TrainingError: the loss or the gradient stays infinite, or the device's
      memory is too small.
    checkpoint.CheckpointError: saving or restoring failed.
    runtime.LockedError: another process writes to the workdir.
  """
  config_lib.check_devices(config, jax.device_count())
  check_workdir(config, workdir)
  for split in ('train_split', 'validation_split', 'test_split'):
    input_pipeline.parse_split(config.data[split], 0)
  source = input_pipeline.open_source(config.data, config.data.train_split)
  pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
  with runtime.lock(workdir), runtime.Signals() as signals:
    run = run_lib.Run(config, workdir, source)
    try:
      with _explained(config):
        return _train(run, signals)
    finally:
      run.close()


def _train(
  run: run_lib.Run, signals: runtime.Signals
) -> train_state.TrainState:
  """The loop."""
  training = run.config.training
  state = run.restored_state() or run.initial_state()
  step = int(state.step)
  state = devices.replicate(state)
  keys = devices.replicate(jax.random.key(training.seed))
  batches = input_pipeline.train_batches(run.dataset, step)
  meter = progress.Meter()
  recent = collections.deque()
  try:
    with signals.interruptible():
      train_step = _compile(run, state, keys)
    while step < training.num_steps and signals.received is None:
      start = time.perf_counter()
      rgb = devices.shard(next(batches))
      meter.count_step(time.perf_counter() - start)
      state, parts = train_step(state, rgb, keys)
      step += 1
      recent.append((step, parts))
      if len(recent) > CHECK_DELAY:
        seen_step, seen_parts = recent.popleft()
        run.check_skipped(seen_step, state, seen_parts)
      if _is_due(run, step, training.log_every_steps) or len(recent) == 1:
        run.report(step, parts, meter)
      _periodically(run, signals, state, step, meter)
  except runtime.StopRequested:
    pass  # a compilation, evaluation or grid was broken off
  if signals.received is not None:
    run.save(state)
    run.wait_for_save()
    raise Stopped(signals.received, step)
  for seen_step, seen_parts in recent:
    run.check_skipped(seen_step, state, seen_parts)
  return state


def _compile(
  run: run_lib.Run, state: train_state.TrainState, keys: jax.Array
) -> jax.stages.Compiled:
  """Compiles the step; says how long it took."""
  start = time.perf_counter()
  step = devices.pmap(
    train_state.train_step_fn(
      run.model,
      run.optimizer,
      run.config.optimizer.ema_decay,
      run.config.data.chroma_filter,
      run.config.training.accumulation_steps,
    ),
    donate_argnums=(0,),
  )
  compiled = step.lower(state, devices.shard(run.dataset[0]), keys).compile()
  seconds = time.perf_counter() - start
  progress.say(f'Compiled the step in {progress.format_duration(seconds)}.')
  return compiled


def _is_due(run: run_lib.Run, step: int, every: int) -> bool:
  return every > 0 and (
    step % every == 0 or step == run.config.training.num_steps
  )


def _periodically(
  run: run_lib.Run,
  signals: runtime.Signals,
  state: train_state.TrainState,
  step: int,
  meter: progress.Meter,
) -> None:
  """Saves, evaluates and samples where it is due; left out of the rates."""
  start = time.perf_counter()
  training = run.config.training
  if _is_due(run, step, training.checkpoint_every_steps):
    run.save(state)
  if _is_due(run, step, training.eval_every_steps):
    with signals.interruptible():
      run.evaluate(state, step)
  if _is_due(run, step, training.sample_every_steps):
    with signals.interruptible():
      run.sample(state, step)
  meter.pause(time.perf_counter() - start)
