"""What a training run holds: model, data, logs, checkpoints, pictures."""

import pathlib
from collections.abc import Sequence
from typing import Any

import flax.serialization
import flax.traverse_util
import jax
import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.evaluation import likelihood
from pic_jax.images import grid, image_files
from pic_jax.model import parameters
from pic_jax.runtime import devices, errors, run_log
from pic_jax.sampling import grids
from pic_jax.saved import (
  backbone_weights,
  checkpoints,
  run_config,
  trained_model,
)
from pic_jax.training import optimizers, train_step

# Updates in a row that may be left out before the run ends.
MAX_SKIPPED_IN_ROW = 10


def not_finite(params: Any) -> list[str]:
  """Layers or blocks whose parameters (host arrays) are not all finite."""
  flat = flax.traverse_util.flatten_dict(params)
  bad = [path for path, x in flat.items() if not np.isfinite(x).all()]
  return sorted({'/'.join(path[:2]) for path in bad})


class Run:
  """Everything but the loop itself, which is in `train`."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    workdir: str,
    source: Sequence[np.ndarray],
  ):
    """Opens the logs; process 0 is the one that writes.

    Args:
      config: checked.
      workdir: exists.
      source: images of the training split.
    """
    self.config = config
    self.workdir = pathlib.Path(workdir)
    self.model = run_config.build_model(config)
    self.optimizer = optimizers.make_optimizer(config)
    self.train_source = source
    self.dataset = input_pipeline.train_dataset(
      self.train_source,
      config.training.batch_size,
      config.training.seed,
      jax.process_index(),
      jax.process_count(),
      config.data.smallest_crop,
    )
    self._validation = None
    self._evaluator = None
    self._sampler = None
    self.last_saved = None  # step of the last checkpoint
    self.log = run_log.Log(workdir)
    self._saver = None

  @property
  def validation_source(self) -> Any:
    """Opened when first needed."""
    if self._validation is None:
      self._validation = input_pipeline.open_source(
        self.config.data, self.config.data.validation_split
      )
    return self._validation

  def first_state(self) -> train_step.TrainState:
    """The last good checkpoint, else step 0; the same on every process."""
    if devices.is_main():
      state = self.restored_state() or self.initial_state()
    else:
      state = jax.tree.map(
        lambda x: np.zeros(x.shape, x.dtype),
        self.state_shapes(),
      )
    return devices.broadcast(state)

  def initial_state(self) -> train_step.TrainState:
    """Step 0: from `training.init_from`, or from the first global batch."""
    config = self.config
    first = input_pipeline.train_dataset(
      self.train_source,
      config.training.batch_size,
      config.training.seed,
      smallest_crop=config.data.smallest_crop,
    )[0]
    batch = self.model.split_lab(first)
    if config.training.init_from:
      source = config.training.init_from
      params, _, step = trained_model.load_trained(source)
      shapes = parameters.shapes(self.model, config.data.image_size)
      for network in sorted(params.keys() - shapes.keys()):
        run_log.say(f'The {network} of {source} is left out.')
        del params[network]
      params = parameters.completed(params, shapes)
      checkpoints.check_fit(params, shapes, source)
      run_log.say(f'Starting from {source}, step {step}, optimiser fresh.')
    else:
      backbone = None
      if config.training.backbone_weights:
        backbone = backbone_weights.load(config.training.backbone_weights)
      params = parameters.initial(
        self.model, batch, config.training.seed, backbone
      )
    return train_step.create(params, self.optimizer)

  def restored_state(self) -> train_step.TrainState | None:
    """The last good checkpoint of the workdir, if there is any."""
    restored = checkpoints.restore(str(self.workdir))
    if restored is None:
      return None
    tree, meta = restored
    run_log.say(f'Resuming {self.workdir} at step {meta["step"]}.')
    self.last_saved = int(meta['step'])
    checkpoints.set_aside_after(str(self.workdir), self.last_saved)
    template = self.state_shapes()
    checkpoints.check_fit(
      tree['params'], template.params, f'{self.workdir} at {meta["step"]}'
    )
    try:
      return flax.serialization.from_state_dict(template, tree)
    except (ValueError, KeyError) as error:
      raise errors.RunError(
        f'{self.workdir} was written by another version: {error} Start from '
        'its weights with `--config.training.init_from`.'
      ) from None

  def state_shapes(self) -> train_step.TrainState:
    """The state as shapes."""
    params = parameters.shapes(self.model, self.config.data.image_size)
    return jax.eval_shape(
      lambda params: train_step.create(params, self.optimizer), params
    )

  def evaluate(self, state: train_step.TrainState, step: int) -> None:
    """Scores the averaged parameters on held-out training images."""
    if self._evaluator is None:
      self._evaluator = likelihood.Evaluator(self.config)
    report = self._evaluator(
      state.ema_params,
      self.validation_source,
      self.config.evaluation.num_validation_images,
    )
    self.log.scalars(step, {f'validation_{k}': v for k, v in report.items()})
    scores = f'loss {report.get("loss", 0):.4f}'
    if self.model.has_likelihood:
      scores = (
        f'{report["bits_per_dim"]:.4f} bits/dim '
        f"({report['bits_per_dim_paper']:.4f} by the paper's rule)"
      )
    run_log.say(
      f'step {step}: validation {scores}, {report["num_images"]} images'
    )

  def sample(self, state: train_step.TrainState, step: int) -> None:
    """Writes a grid of held-out training images: grey | samples | original."""
    if self._sampler is None:
      self._sampler = grids.Sampler(self.model, self.config.sampling)
    rows = next(self._sampler.batches(state.ema_params, self.validation_source))
    if not devices.is_main():
      return
    picture = grid.grid(rows)
    path = self.workdir / 'figures' / f'step_{step:07d}.png'
    image_files.save_image(path, picture)
    self.log.picture(step, 'samples', picture)
    run_log.say(f'step {step}: wrote {path}')

  def save(self, state: train_step.TrainState) -> None:
    """Starts to write a checkpoint of a replicated state, unless it is there.

    Raises:
      RunError: the state is not finite.
      RunError: this or an earlier write failed.
    """
    if not devices.is_main():
      return
    host_state = devices.fetch(state)
    step = int(host_state.step)
    if step == self.last_saved:
      return
    bad = not_finite(host_state.params) + not_finite(host_state.ema_params)
    if bad:
      raise errors.RunError(
        f'Parameters of {bad[0]} are not finite at step {step}: not saved, the '
        'last checkpoint is kept. Lower `optimizer.learning_rate`.'
      )
    if self._saver is None:
      # Not before: it lists the steps that are there when it is made.
      self._saver = checkpoints.Saver(
        str(self.workdir), self.config, self.config.training.num_checkpoints
      )
    self._saver.save(host_state)
    self.last_saved = step

  def check_skipped(
    self, step: int, state: train_step.TrainState, parts: dict[str, Any]
  ) -> None:
    """Ends the run when no update was possible for too long.

    Args:
      step: that gave `parts`; a few steps back, so that nothing waits.
      state: now.
      parts: metrics of the step.
    """
    if int(devices.fetch(parts['skipped_in_row'])) < MAX_SKIPPED_IN_ROW:
      return
    groups = not_finite(devices.fetch(state.params))
    what = 'parameters' if groups else 'gradient'
    if not groups:
      norms = devices.fetch(parts['group_norms'])
      groups = [name for name, x in norms.items() if not np.isfinite(x)]
    raise errors.RunError(
      f'{MAX_SKIPPED_IN_ROW} steps in a row, up to step {step}, gave a loss or '
      f'gradient that is not finite (first: {what} of '
      f'{groups[0] if groups else "the loss alone"}). Lower '
      '`optimizer.learning_rate`; the last checkpoint is kept.'
    )

  def report(
    self,
    step: int,
    parts: dict[str, jax.Array],
    meter: run_log.Meter,
  ) -> None:
    """Writes scalars and a progress line; waits for the device."""
    values = {
      name: float(x)
      for name, x in devices.fetch(parts).items()
      if name != 'group_norms'
    }
    score = f'loss {values["loss"]:.4f}'
    if self.model.has_likelihood:
      score = f'{values["bits_per_dim"]:.4f} bits/dim'
    training = self.config.training
    rates = meter.rates(training.batch_size, training.num_steps - step)
    rate = optimizers.learning_rate_fn(
      self.config, self.config.optimizer.learning_rate
    )(step)
    self.log.scalars(step, values | rates | {'learning_rate': float(rate)})
    run_log.say(
      f'step {step}/{training.num_steps}: '
      f'{score}, '
      f'gradient {values["grad_norm"]:.2f}, '
      f'learning rate {float(rate):.2g}, '
      f'{rates["images_per_second"]:.1f} images/s '
      f'({rates["images_per_second_per_device"]:.1f} per device), '
      f'data wait {100 * rates["data_wait_share"]:.0f} %, '
      f'last checkpoint {self.last_saved}, '
      f'ETA {run_log.format_duration(rates["seconds_left"])}'
    )
    meter.reset()

  def close(self) -> None:
    """Waits for the last checkpoint and closes the logs."""
    try:
      self.wait_for_save()
    finally:
      self.log.close()

  def wait_for_save(self) -> None:
    """Returns when the last checkpoint is written.

    Raises:
      RunError: it could not be.
    """
    if self._saver is not None:
      self._saver.close()
      self._saver = None
