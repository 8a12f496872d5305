"""Actions that training repeats: report, score, draw samples, save."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections
import numpy as np

from pic_jax.data import image_source
from pic_jax.evaluation import likelihood
from pic_jax.images import image_files, tiling
from pic_jax.model import pic
from pic_jax.runtime import devices, terminal
from pic_jax.sampling import sheets
from pic_jax.saved import checkpoints
from pic_jax.training import finite, optimizers, run_log, train_step


class Periodic:
  """Reports progress, scores, draws sheets of samples and saves checkpoints.

  Every process calls all methods. Only process 0 writes.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    workdir: str,
    model: pic.PIC,
    *,
    validation: image_source.ImageSource,
    data: dict[str, Any] | None = None,
  ):
    """Opens the logs.

    Args:
      config: config of the run.
      workdir: path of the workdir. If it has checkpoints, the run has resumed
        from the last one.
      model: model of the config.
      validation: images of `data.validation_split`; may be empty if the config
        neither scores nor draws samples.
      data: fingerprint of the training images, stored in the checkpoints.
    """
    self._config = config
    self._data = data
    self.workdir = pathlib.Path(workdir)
    self._model = model
    self._validation = validation
    saved = checkpoints.saved_steps(workdir)
    self._last_saved = saved[-1] if saved else None
    self._saver = None
    self.log = run_log.Log(workdir)

  def report(
    self, step: int, metrics: dict[str, jax.Array], meter: run_log.Meter
  ) -> None:
    """Logs the scalars of a step and prints a line of progress.

    This waits until the device has finished the step.

    Args:
      step: number of steps done.
      metrics: metrics of this step, replicated over the local devices.
      meter: meter of the interval that ends here; it is reset.
    """
    values = {
      name: float(x)
      for name, x in devices.fetch(metrics).items()
      if name != 'group_norms'
    }
    score = f'loss {values["loss"]:.4f}'
    if self._model.has_likelihood:
      score = f'{values["bits_per_dim"]:.4f} bits/dim'
    training = self._config.training
    rates = meter.rates(training.batch_size, training.num_steps - step)
    schedule = optimizers.learning_rate_fn(
      self._config, self._config.optimizer.learning_rate
    )
    learning_rate = float(np.asarray(schedule(step)))
    self.log.scalars(step, values | rates | {'learning_rate': learning_rate})
    terminal.say(
      f'step {step}/{training.num_steps}: '
      f'{score}, '
      f'gradient {values["grad_norm"]:.2f}, '
      f'learning rate {learning_rate:.2g}, '
      f'{rates["images_per_second"]:.1f} images/s '
      f'({rates["images_per_second_per_device"]:.1f} per device), '
      f'data wait {100 * rates["data_wait_share"]:.0f} %, '
      f'last checkpoint {self._last_saved}, '
      f'ETA {terminal.format_duration(rates["seconds_left"])}'
    )
    meter.reset()

  def score(self, step: int, state: train_step.TrainState) -> None:
    """Scores the averaged parameters on the validation images.

    Args:
      step: number of steps done.
      state: state, replicated over the local devices.
    """
    result = likelihood.evaluate(
      self._config,
      state.ema_params,
      self._validation,
      num_images=self._config.evaluation.num_validation_images,
    )
    self.log.scalars(step, {f'validation_{k}': v for k, v in result.items()})
    score = f'loss {result.get("loss", 0):.4f}'
    if self._model.has_likelihood:
      score = f'{result["bits_per_dim"]:.4f} bits/dim'
      if 'bits_per_dim_paper' in result:
        paper = result['bits_per_dim_paper']
        score += f" ({paper:.4f} by the paper's rule)"
    terminal.say(
      f'step {step}: validation {score}, {result["num_images"]} images'
    )

  def draw(self, step: int, state: train_step.TrainState) -> None:
    """Writes a sheet of validation images: grey | samples | original.

    Draws only the first batch, see `sheets.draw_batches`.

    Args:
      step: number of steps done.
      state: state, replicated over the local devices.
    """
    batches = sheets.draw_batches(
      self._model,
      state.ema_params,
      self._validation,
      sampling=self._config.sampling,
    )
    rows = next(batches)
    if not devices.is_main():
      return
    picture = tiling.tile(rows)
    path = self.workdir / 'figures' / f'step_{step:07d}.png'
    image_files.save_image(path, picture)
    self.log.picture(step, 'samples', picture)
    terminal.say(f'step {step}: wrote {path}')

  def save(self, step: int, state: train_step.TrainState) -> None:
    """Starts to write a checkpoint, unless this step has just been saved.

    Args:
      step: number of steps done.
      state: state, replicated over the local devices.

    Raises:
      RunError: if the state is not finite, or this or an earlier write failed.
    """
    if step == self._last_saved or not devices.is_main():
      return
    host_state = devices.fetch(state)
    finite.check_state(host_state)
    if self._saver is None:
      self._saver = checkpoints.Saver(
        str(self.workdir),
        self._config,
        self._config.training.num_checkpoints,
        data=self._data,
      )
    self._saver.save(host_state)
    self._last_saved = step

  @contextlib.contextmanager
  def saved_on_failure(
    self, step: int, state: train_step.TrainState
  ) -> Iterator[None]:
    """Saves the state if the context raises an error, and raises it again."""
    try:
      yield
    except Exception:
      # If saving fails as well, only the first error is reported.
      with contextlib.suppress(Exception):
        self.save(step, state)
        terminal.say(f'Saved step {step} in {self.workdir}.')
      raise

  def close(self) -> None:
    """Waits until the last checkpoint is written, and closes the logs.

    Raises:
      RunError: if the checkpoint could not be written.
    """
    try:
      if self._saver is not None:
        self._saver.close()
    finally:
      self.log.close()
