"""Training (paper sec. 3.3, "Optimization", and 4)."""

import pathlib
import time
from typing import Any

import flax.serialization
import jax
import ml_collections
import numpy as np

from pic_jax import (
  checkpoint,
  devices,
  evaluate,
  images,
  input_pipeline,
  progress,
  sample,
  train_state,
)
from pic_jax import config as config_lib
from pic_jax import model as model_lib


class TrainingError(RuntimeError):
  """Training cannot go on; the text says why and what helps."""


class Run:
  """What the loop of `train_and_evaluate` uses."""

  def __init__(self, config: ml_collections.ConfigDict, workdir: str):
    self.config = config
    self.workdir = pathlib.Path(workdir)
    self.model = config_lib.build_model(config)
    self.optimizer = train_state.make_optimizer(config.optimizer)
    self.train_source = input_pipeline.open_source(
      config.data, config.data.train_split
    )
    self.dataset = input_pipeline.train_dataset(
      self.train_source,
      config.training.batch_size,
      config.training.seed,
      jax.process_index(),
      jax.process_count(),
    )
    self.workdir.mkdir(parents=True, exist_ok=True)
    (self.workdir / 'config.json').write_text(config_lib.to_json(config))
    self._validation = None
    self._evaluator = None
    self._sampler = None
    self.log = progress.Log(workdir)
    self.saver = checkpoint.Saver(
      workdir, config, config.training.num_checkpoints
    )

  @property
  def validation_source(self) -> Any:
    """Opened when first needed."""
    if self._validation is None:
      self._validation = input_pipeline.open_source(
        self.config.data, self.config.data.validation_split
      )
    return self._validation

  def initial_state(self) -> train_state.TrainState:
    """Step 0: from `training.init_from`, or from the first global batch."""
    config = self.config
    first = input_pipeline.train_dataset(
      self.train_source, config.training.batch_size, config.training.seed
    )[0]
    batch = model_lib.split_lab(
      first, self.model.chroma_factor, config.data.chroma_filter
    )
    if config.training.init_from:
      source = config.training.init_from
      params, _, step = checkpoint.load_trained(source)
      shapes = jax.eval_shape(
        self.model.init, jax.random.key(0), batch.luminance, batch.chroma
      )['params']
      checkpoint.check_fit(params, shapes, source)
      progress.say(f'Starting from {source}, step {step}, optimiser fresh.')
    else:
      params = model_lib.initial_params(self.model, batch, config.training.seed)
    return train_state.create(params, self.optimizer)

  def restored_state(self) -> train_state.TrainState | None:
    """The last good checkpoint of the workdir, if there is any."""
    restored = checkpoint.restore(str(self.workdir))
    if restored is None:
      return None
    tree, meta = restored
    progress.say(f'Resuming {self.workdir} at step {meta["step"]}.')
    template = jax.eval_shape(self.initial_state_shapes)
    checkpoint.check_fit(
      tree['params'], template.params, f'{self.workdir} at {meta["step"]}'
    )
    return flax.serialization.from_state_dict(template, tree)

  def initial_state_shapes(self) -> train_state.TrainState:
    """A state for `jax.eval_shape`."""
    size = self.config.data.image_size
    small = size // self.model.chroma_factor
    params = self.model.init(
      jax.random.key(0),
      jax.numpy.zeros((1, size, size, 1)),
      jax.numpy.zeros((1, small, small, 2)),
    )['params']
    return train_state.create(params, self.optimizer)

  def evaluate(self, state: train_state.TrainState, step: int) -> None:
    """Scores the averaged parameters on held-out training images."""
    if self._evaluator is None:
      self._evaluator = evaluate.Evaluator(self.config)
    report = self._evaluator(
      state.ema_params,
      self.validation_source,
      self.config.evaluation.num_validation_images,
    )
    self.log.scalars(step, {f'validation_{k}': v for k, v in report.items()})
    progress.say(
      f'step {step}: validation {report["bits_per_dim"]:.4f} bits/dim '
      f"({report['bits_per_dim_paper']:.4f} by the paper's rule), "
      f'{report["num_images"]} images'
    )

  def sample(self, state: train_state.TrainState, step: int) -> None:
    """Writes a grid of held-out training images: grey | samples | original."""
    sampling = self.config.sampling
    if self._sampler is None:
      self._sampler = sample.Sampler(
        self.model,
        self.config.data.chroma_filter,
        sampling.num_samples,
        sampling.temperature,
        sampling.method,
      )
    rgb, _, mask = next(
      input_pipeline.eval_batches(
        self.validation_source, sampling.batch_size, sampling.num_images
      )
    )
    rows = self._sampler(state.ema_params, rgb[mask], sampling.seed, 0)
    picture = images.grid(rows, sample.grid_scale(rows))
    path = self.workdir / 'figures' / f'step_{step:07d}.png'
    images.save_png(path, picture)
    self.log.picture(step, 'samples', picture)
    progress.say(f'step {step}: wrote {path}')

  def save(self, state: train_state.TrainState) -> None:
    """Starts to write a checkpoint of a replicated state."""
    self.saver.save(devices.fetch(state))

  def report(
    self,
    step: int,
    parts: dict[str, jax.Array],
    meter: progress.Meter,
  ) -> None:
    """Writes scalars and a progress line; waits for the device."""
    values = {name: float(x) for name, x in devices.fetch(parts).items()}
    if not np.isfinite(values['loss']):
      raise TrainingError(
        f'The loss is {values["loss"]} at step {step}: lower '
        '`optimizer.learning_rate`; the last checkpoint is kept.'
      )
    training = self.config.training
    rates = meter.rates(training.batch_size, training.num_steps - step)
    rate = train_state.learning_rate_fn(self.config.optimizer)(step)
    self.log.scalars(step, values | rates | {'learning_rate': float(rate)})
    progress.say(
      f'step {step}/{training.num_steps}: '
      f'{values["bits_per_dim"]:.4f} bits/dim, '
      f'gradient {values["grad_norm"]:.2f}, '
      f'{rates["images_per_second"]:.1f} images/s, '
      f'data wait {100 * rates["data_wait_share"]:.0f} %, '
      f'ETA {progress.format_duration(rates["seconds_left"])}'
    )
    meter.reset()

  def close(self) -> None:
    """Waits for the last checkpoint and closes the logs."""
    try:
      self.saver.close()
    finally:
      self.log.close()


def check_workdir(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Compares the config with the one that a workdir already has.

  Raises:
    config_lib.ConfigError: the workdir belongs to another model or data.
  """
  path = pathlib.Path(workdir) / 'config.json'
  if path.exists():
    before = config_lib.from_json(path.read_text())
    config_lib.check_same_run(before, config, workdir)


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
    TrainingError: the loss is not finite, or the device's memory is too small.
    checkpoint.CheckpointError: saving or restoring failed.
  """
  config_lib.check_devices(config, jax.device_count())
  check_workdir(config, workdir)
  run = Run(config, workdir)
  try:
    return _train(run)
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    training = config.training
    raise TrainingError(
      'Out of device memory: lower `training.batch_size` '
      f'({training.batch_size}), raise `training.accumulation_steps` '
      f'({training.accumulation_steps}) or set `model.remat` '
      f'({config.model.remat}).'
    ) from None
  finally:
    run.close()


def _train(run: Run) -> train_state.TrainState:
  """The loop."""
  training = run.config.training
  state = run.restored_state() or run.initial_state()
  first_step = int(state.step)
  state = devices.replicate(state)
  train_step = devices.pmap(
    train_state.train_step_fn(
      run.model,
      run.optimizer,
      run.config.optimizer.ema_decay,
      run.config.data.chroma_filter,
      training.accumulation_steps,
    ),
    donate_argnums=(0,),
  )
  keys = devices.replicate(jax.random.key(training.seed))
  batches = input_pipeline.train_batches(run.dataset, first_step)
  meter = progress.Meter()

  def is_due(step: int, every: int) -> bool:
    return every > 0 and (step % every == 0 or step == training.num_steps)

  for step in range(first_step + 1, training.num_steps + 1):
    start = time.perf_counter()
    rgb = devices.shard(next(batches))
    meter.count_step(time.perf_counter() - start)
    state, parts = train_step(state, rgb, keys)
    if step == first_step + 1:
      jax.block_until_ready(parts)
      seconds = time.perf_counter() - start
      progress.say(f'First step after {progress.format_duration(seconds)}.')
    if is_due(step, training.log_every_steps) or step == first_step + 1:
      run.report(step, parts, meter)
    start = time.perf_counter()
    if is_due(step, training.checkpoint_every_steps):
      run.save(state)
    if is_due(step, training.eval_every_steps):
      run.evaluate(state, step)
    if is_due(step, training.sample_every_steps):
      run.sample(state, step)
    meter.pause(time.perf_counter() - start)
  return state
