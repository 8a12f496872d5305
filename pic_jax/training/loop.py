"""Training (paper sec. 3.3, "Optimization", and 4)."""

import collections
import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from pic_jax.data import fingerprints, input_pipeline
from pic_jax.model import pic
from pic_jax.runtime import devices, errors, lock, signals, terminal
from pic_jax.saved import checkpoints, config_check, run_config
from pic_jax.training import (
  colour_frequencies,
  description,
  finite,
  optimizers,
  periodic,
  run_log,
  start,
  train_step,
)

# Delay, in steps, after which the counters of a step are read: the device has
# finished it by then, so that the host does not wait.
CHECK_DELAY = 4


@contextlib.contextmanager
def _explained(config: ml_collections.ConfigDict) -> Iterator[None]:
  """Turns an out-of-memory error into one line with a remedy."""
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
  config: ml_collections.ConfigDict, workdir: str
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
    UserError: the workdir or the data set does not fit the config.
    RunError: the loss or the gradient stays infinite, the device's memory is
      too small, saving or restoring failed, or another process writes to the
      workdir.
  """
  config_check.check_devices(config, jax.device_count())
  with contextlib.ExitStack() as stack:
    if devices.is_main():
      pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
      stack.enter_context(lock.hold(workdir))
    changes = _changes(config, workdir)
    training = input_pipeline.open_training(config.data)
    source = training.images
    fingerprints.check_hosts(training.fingerprint)
    validation = _open_validation(config)
    stop = stack.enter_context(signals.Signals(jax.process_count() == 1))
    stack.enter_context(_explained(config))
    model = run_config.build_model(config)
    about = description.run(config, len(source), workdir)
    terminal.say(description.to_text(about))
    optimizer = optimizers.make_optimizer(config)
    state = start.first_state(
      config, workdir, model, optimizer=optimizer, training=training
    )
    if _is_finished(config, int(state.step), workdir):
      return devices.replicate(state)
    if devices.is_main():  # only now: a refused run must change nothing
      run_config.write(config, workdir)
    actions = periodic.Periodic(
      config, workdir, model, validation=validation, data=training.fingerprint
    )
    stack.enter_context(contextlib.closing(actions))
    if changes:
      actions.log.scalars(int(state.step), {'config_changes': changes})
      terminal.say(f'Changed since the last start: {", ".join(changes)}.')
    recipe = _recipe(config, model, source)
    step_fn = train_step.train_step_fn(model, optimizer, recipe)
    return _train(
      config, state, step_fn, source=source, actions=actions, stop=stop
    )


def _recipe(
  config: ml_collections.ConfigDict,
  model: pic.PIC,
  source: Sequence[np.ndarray],
) -> train_step.Recipe:
  """Settings of the training step."""
  return train_step.Recipe(
    ema_decay=config.optimizer.ema_decay,
    class_weights=colour_frequencies.class_weights(model, source),
    film_share=config.data.film_share,
    frozen=config.training.frozen,
    levels_taught=_levels_taught(config, source),
  )


def _levels_taught(
  config: ml_collections.ConfigDict, source: Sequence[np.ndarray]
) -> np.ndarray | None:
  """[B] levels that each row of a global batch teaches; None for all."""
  if not config.data.mixture:
    return None
  every = config.model.levels
  taught = [every, *((*row, every)[4] for row in config.data.mixture)]
  return np.repeat(taught, source.batch_sizes(config.training.batch_size))


def _changes(
  config: ml_collections.ConfigDict, workdir: str
) -> dict[str, tuple[Any, Any]]:
  """Changes since the config of the run that is resumed, if any."""
  if not checkpoints.saved_steps(workdir):
    return {}
  # config.json may have been left behind: each checkpoint has it, too.
  before = run_config.read(workdir) or checkpoints.read_config(workdir)
  return run_config.changes(config, before or config, workdir)


def _is_finished(
  config: ml_collections.ConfigDict, step: int, workdir: str
) -> bool:
  """Reports and returns whether a run has no step left."""
  num_steps = config.training.num_steps
  if step < num_steps:
    return False
  terminal.say(
    f'{workdir} is at step {step} of {num_steps}: nothing is left to do. '
    '`--config.training.num_steps` trains on.'
  )
  return True


def _open_validation(
  config: ml_collections.ConfigDict,
) -> Sequence[np.ndarray]:
  """Opens the validation split, so that a wrong one ends the run at once."""
  if max(config.training.eval_every_steps, config.training.sample_every_steps):
    return input_pipeline.open_source(config.data, config.data.validation_split)
  return ()


def _train(
  config: ml_collections.ConfigDict,
  state: train_step.TrainState,
  step_fn: Callable[..., Any],
  *,
  source: Sequence[np.ndarray],
  actions: periodic.Periodic,
  stop: signals.Signals,
) -> train_step.TrainState:
  """Runs the loop; `state` is on the host."""
  training, step = config.training, int(state.step)
  state = devices.replicate(state)
  keys = devices.replicate(jax.random.key(training.seed))
  dataset = _dataset(config, source)
  batches = input_pipeline.train_batches(dataset, step)
  meter, recent, stop_signal = run_log.Meter(), collections.deque(), 0

  def is_due(every: int) -> bool:
    return every > 0 and (step % every == 0 or step == training.num_steps)

  try:
    with stop.interruptible():
      step_fn = _compile(step_fn, state, devices.shard(dataset[0]), keys=keys)
    while step < training.num_steps and not stop_signal:
      with meter.waiting(), actions.saved_on_failure(step, state):
        rgb = devices.shard(next(batches))
      state, parts = step_fn(state, rgb, keys, asked=_asked(stop))
      step += 1
      recent.append((step, parts))
      if len(recent) > CHECK_DELAY:
        seen_step, seen = recent.popleft()
        finite.check_updates(seen_step, seen, state)
        stop_signal = int(devices.fetch(seen['stop']))
      with actions.saved_on_failure(step, state):
        if is_due(training.log_every_steps) or len(recent) == 1:
          actions.report(step, parts, meter)
        with meter.paused(), stop.interruptible():
          if is_due(training.eval_every_steps):
            actions.score(step, state)
          if is_due(training.sample_every_steps):
            actions.draw(step, state)
      # The last, so that a score is on disk before its state.
      if is_due(training.checkpoint_every_steps):
        with meter.paused():
          actions.save(step, state)
  except signals.StopRequested:
    stop_signal = stop.received
  if stop_signal:
    actions.save(step, state)
    raise errors.Stopped(
      stop_signal,
      f'saved step {step} in {actions.workdir}; run the same command again to '
      'resume.',
    )
  for seen_step, seen in recent:
    finite.check_updates(seen_step, seen, state)
  return state


def _dataset(
  config: ml_collections.ConfigDict, source: Sequence[np.ndarray]
) -> Sequence[np.ndarray]:
  """Builds the batches of this process, indexed by step."""
  return input_pipeline.train_dataset(
    source,
    config.training.batch_size,
    config.training.seed,
    host=jax.process_index(),
    num_hosts=jax.process_count(),
    smallest_crop=config.data.smallest_crop,
  )


def _asked(stop: signals.Signals) -> np.ndarray:
  """The received signal [D], which the step shares among all hosts."""
  return np.full(jax.local_device_count(), stop.received or 0, np.int32)


def _compile(
  step_fn: Callable[..., Any],
  state: train_step.TrainState,
  rgb: np.ndarray,
  *,
  keys: jax.Array,
) -> Callable[..., Any]:
  """Compiles the step and reports the time."""
  begin = time.perf_counter()

  def step(state: Any, rgb: Any, key: Any, *, asked: Any) -> tuple[Any, Any]:
    state, parts = step_fn(state, rgb, key)
    return state, parts | {'stop': devices.maximum(asked)}

  step = devices.pmap(step, donate_argnums=(0,))
  if jax.process_count() > 1:
    # Ahead of time pmap compiles for the arrays of all processes, but is then
    # called with those of one: the first call has to compile.
    return step
  asked = np.zeros(jax.local_device_count(), np.int32)
  compiled = step.lower(state, rgb, keys, asked=asked).compile()
  seconds = time.perf_counter() - begin
  terminal.say(f'Compiled the step in {terminal.format_duration(seconds)}.')
  return compiled
