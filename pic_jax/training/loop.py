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
def _explain_out_of_memory(
  config: ml_collections.ConfigDict,
) -> Iterator[None]:
  """Turns an out-of-memory error in the context into one that names a remedy.

  Raises:
    RunError: if a device is out of memory.
  """
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
  """Starts or resumes the run in a workdir, up to step `training.num_steps`.

  Every process of a run calls this function. Only process 0 writes.

  Args:
    config: config that `config_check.check` accepted.
    workdir: path of the folder for checkpoints, logs and figures.

  Returns:
    The final state, replicated over the local devices.

  Raises:
    Stopped: if a signal asked the run to stop. The state has been saved.
    UserError: if the workdir, the data set or the number of devices does not
      fit the config.
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
    stack.enter_context(_explain_out_of_memory(config))
    model = run_config.build_model(config)
    report = description.run(config, len(source), workdir)
    terminal.say(description.to_text(report))
    optimizer = optimizers.make_optimizer(config)
    state = start.first_state(
      config, workdir, model, optimizer=optimizer, training=training
    )
    if _is_finished(config, int(state.step), workdir):
      return devices.replicate(state)
    # The config is written only now, because a refused run must not change it.
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
  )


def _levels_taught(
  config: ml_collections.ConfigDict, source: image_source.ImageSource
) -> np.ndarray | None:
  """Computes the finest level that each image of a global batch teaches.

  Returns:
    [B] indices of levels, see `Recipe.levels_taught`; None without a mixture,
    when all images teach all levels.
  """
  if not isinstance(source, sources.Mixture):
    return None
  # The images of `data.name` come first and teach all levels. A row of
  # `data.mixture` may limit the levels by a fifth entry.
  finest = config.model.levels
  taught = [finest]
  taught += [row[4] if len(row) > 4 else finest for row in config.data.mixture]
  return np.repeat(taught, source.batch_sizes(config.training.batch_size))


def _changes(
  config: ml_collections.ConfigDict, workdir: str
) -> dict[str, tuple[Any, Any]]:
  """Lists the fields whose values differ from those of the run to resume.

  Returns:
    (old value, new value), keyed by 'section.field'; empty for a new run.

  Raises:
    UserError: if a field differs that a resumed run may not change.
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
    'train longer, raise `--config.training.num_steps`.'
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
  meter, unchecked, stop_signal = run_log.Meter(), collections.deque(), 0

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
      unchecked.append((step, metrics))
      if len(unchecked) > CHECK_DELAY:
        past_step, past_metrics = unchecked.popleft()
        finite.check_updates(past_step, past_metrics, state)
        stop_signal = int(devices.fetch(past_metrics['stop']))
      with actions.saved_on_failure(step, state):
        # The second condition holds only for the first step after a start.
        if is_due(training.log_every_steps) or len(unchecked) == 1:
          actions.report(step, metrics, meter)
        with meter.paused():
          with stop.interruptible():
            if is_due(training.eval_every_steps):
              actions.score(step, state)
          with stop.interruptible():  # Raises if a signal arrived before.
            if is_due(training.sample_every_steps):
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
  for past_step, past_metrics in unchecked:
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
  """Returns the number of the received signal, or 0, for each local device.

  The step takes the maximum over the devices of all hosts, so all hosts stop at
  the same step.

  Returns:
    [D] int32 for the D local devices.
  """
  return np.full(jax.local_device_count(), stop.received or 0, np.int32)


def _compile(
  step_fn: Callable[..., Any],
  state: train_step.TrainState,
  rgb: np.ndarray,
  *,
  keys: jax.Array,
) -> Callable[..., Any]:
  """Maps the step over the devices, compiles it and says how long that took.

  With several processes, the first call compiles the step.

  Args:
    step_fn: training step, see `train_step.train_step_fn`.
    state: state, replicated over the D local devices.
    rgb: [D, b, H, W, 3] uint8.
    keys: [D] the run's PRNG key, replicated.

  Returns:
    A function of (state, rgb, keys, received=[D] numbers of signals). The
    metrics that it returns also have 'stop', the maximum of `received` over the
    devices of all hosts.
  """
  begin = time.perf_counter()

  def step(state: Any, rgb: Any, key: Any, *, received: Any) -> tuple[Any, Any]:
    state, metrics = step_fn(state, rgb, key)
    return state, metrics | {'stop': devices.maximum(received)}

  mapped_step = devices.pmap(step, donate_argnums=(0,))
  if jax.process_count() > 1:
    # Compiled ahead of time, the step would expect the arrays of all processes,
    # but a process has only its own arrays. So the first call compiles it.
    return mapped_step
  received = np.zeros(jax.local_device_count(), np.int32)
  compiled = mapped_step.lower(state, rgb, keys, received=received).compile()
  seconds = time.perf_counter() - begin
  terminal.say(f'Compiled the step in {terminal.format_duration(seconds)}.')
  return compiled
