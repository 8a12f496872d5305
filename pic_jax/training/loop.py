"""The training loop (paper sec. 3.3, "Optimization", and sec. 4)."""

import collections
import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import grain
import jax
import ml_collections
import numpy as np

from pic_jax.data import fingerprints, image_source, input_pipeline, sources
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

# The host reads the counters of a step this many steps later. The device has
# finished the step by then, so the host does not wait for it.
CHECK_DELAY = 4


@contextlib.contextmanager
def _explained(config: ml_collections.ConfigDict) -> Iterator[None]:
  """Turns an out-of-memory error in the context into a line with a remedy."""
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    training = config.training
    raise errors.RunError(
      'Out of device memory: lower `training.batch_size` (now '
      f'{training.batch_size}), set `model.remat` to True (now '
      f'{config.model.remat}), or use more devices.'
    ) from None


def train_and_evaluate(
  config: ml_collections.ConfigDict, workdir: str
) -> train_step.TrainState:
  """Trains until `training.num_steps`; resumes the run in the workdir, if any.

  Every process of a run calls this function. Only process 0 writes.

  Args:
    config: config that `config_check.check` accepted.
    workdir: path of the folder for checkpoints, logs and figures.

  Returns:
    The final state, replicated over the local devices.

  Raises:
    Stopped: if a signal asked the run to stop. The state is saved before.
    UserError: if the workdir or the data set does not fit the config.
    RunError: if the loss or the gradient is not finite in many steps in a row,
      the device is out of memory, a checkpoint cannot be written or read, or
      another process uses the workdir.
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
    report = description.run(config, len(source), workdir)
    terminal.say(description.to_text(report))
    optimizer = optimizers.make_optimizer(config)
    state = start.first_state(
      config, workdir, model, optimizer=optimizer, training=training
    )
    if _is_finished(config, int(state.step), workdir):
      return devices.replicate(state)
    # Written only here, because a run that is refused must change nothing.
    if devices.is_main():
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
  source: image_source.ImageSource,
) -> train_step.Recipe:
  """Builds the settings of the training step."""
  return train_step.Recipe(
    ema_decay=config.optimizer.ema_decay,
    class_weights=colour_frequencies.class_weights(model, source),
    film_share=config.data.film_share,
    frozen=config.training.frozen,
    levels_taught=_levels_taught(config, source),
    energy_weight=config.training.energy_weight,
  )


def _levels_taught(
  config: ml_collections.ConfigDict, source: image_source.ImageSource
) -> np.ndarray | None:
  """Computes how many finer levels each image of a global batch teaches.

  Returns:
    Numbers [B]; None if all images teach all levels.
  """
  if not isinstance(source, sources.Mixture):
    return None
  num_levels = config.model.levels
  # A row of `data.mixture` may have the number as a fifth entry.
  taught = [num_levels, *((*row, num_levels)[4] for row in config.data.mixture)]
  return np.repeat(taught, source.batch_sizes(config.training.batch_size))


def _changes(
  config: ml_collections.ConfigDict, workdir: str
) -> dict[str, tuple[Any, Any]]:
  """Lists the fields that differ from the config of the run to resume, if any.

  Returns:
    (old value, new value), keyed by the name of the field.
  """
  if not checkpoints.saved_steps(workdir):
    return {}
  # config.json may be missing, for instance in a copy of the checkpoints, but
  # every checkpoint holds the config as well.
  previous = run_config.read(workdir) or checkpoints.read_config(workdir)
  return run_config.changes(config, previous or config, workdir)


def _is_finished(
  config: ml_collections.ConfigDict, step: int, workdir: str
) -> bool:
  """Returns whether a run has no steps left, and prints a line if so."""
  num_steps = config.training.num_steps
  if step < num_steps:
    return False
  terminal.say(
    f'{workdir} is at step {step} of {num_steps}: nothing is left to do. To '
    'train on, raise `--config.training.num_steps`.'
  )
  return True


def _open_validation(
  config: ml_collections.ConfigDict,
) -> image_source.ImageSource:
  """Opens the validation split; returns () if training does not use it.

  The split is opened before training starts, so a wrong split ends the run at
  once.
  """
  every_steps = (
    config.training.eval_every_steps,
    config.training.sample_every_steps,
  )
  if max(every_steps) > 0:
    return input_pipeline.open_source(config.data, config.data.validation_split)
  return ()


def _train(
  config: ml_collections.ConfigDict,
  state: train_step.TrainState,
  step_fn: Callable[..., Any],
  *,
  source: image_source.ImageSource,
  actions: periodic.Periodic,
  stop: signals.Signals,
) -> train_step.TrainState:
  """Runs the loop from a state on the host to the final, replicated state."""
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
      state, metrics = step_fn(state, rgb, keys, received=_received(stop))
      step += 1
      recent.append((step, metrics))
      if len(recent) > CHECK_DELAY:
        past_step, past_metrics = recent.popleft()
        finite.check_updates(past_step, past_metrics, state)
        stop_signal = int(devices.fetch(past_metrics['stop']))
      with actions.saved_on_failure(step, state):
        # The second condition holds only for the first step after a start.
        if is_due(training.log_every_steps) or len(recent) == 1:
          actions.report(step, metrics, meter)
        with meter.paused():
          if is_due(training.eval_every_steps):
            with stop.interruptible():
              actions.score(step, state)
          if is_due(training.sample_every_steps):
            with stop.interruptible():
              actions.draw(step, state)
      # Saved last, so the score of a step is on disk before its checkpoint.
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
  for past_step, past_metrics in recent:
    finite.check_updates(past_step, past_metrics, state)
  return state


def _dataset(
  config: ml_collections.ConfigDict, source: image_source.ImageSource
) -> grain.MapDataset:
  """Builds the batches of this process, indexed by step."""
  return input_pipeline.train_dataset(
    source,
    config.training.batch_size,
    config.training.seed,
    host=jax.process_index(),
    num_hosts=jax.process_count(),
    smallest_crop=config.data.smallest_crop,
  )


def _received(stop: signals.Signals) -> np.ndarray:
  """Returns the signal received, or 0, once for each of the D local devices.

  The step takes the maximum over the devices of all hosts, so that all hosts
  stop at the same step.

  Returns:
    Numbers [D] int32.
  """
  return np.full(jax.local_device_count(), stop.received or 0, np.int32)


def _compile(
  step_fn: Callable[..., Any],
  state: train_step.TrainState,
  rgb: np.ndarray,
  *,
  keys: jax.Array,
) -> Callable[..., Any]:
  """Compiles the step and says how long that took."""
  begin = time.perf_counter()

  def step(state: Any, rgb: Any, key: Any, *, received: Any) -> tuple[Any, Any]:
    state, metrics = step_fn(state, rgb, key)
    return state, metrics | {'stop': devices.maximum(received)}

  mapped_step = devices.pmap(step, donate_argnums=(0,))
  if jax.process_count() > 1:
    # Compiled ahead of time, the step would expect the arrays of all processes,
    # but a process has only its own arrays. So the first call has to compile.
    return mapped_step
  received = np.zeros(jax.local_device_count(), np.int32)
  compiled = mapped_step.lower(state, rgb, keys, received=received).compile()
  seconds = time.perf_counter() - begin
  terminal.say(f'Compiled the step in {terminal.format_duration(seconds)}.')
  return compiled
