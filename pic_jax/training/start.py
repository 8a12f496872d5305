"""Initial state of training: resumed, fine-tuned or fresh."""

from collections.abc import Sequence
from typing import Any

import flax.serialization
import jax
import ml_collections
import numpy as np
import optax

from pic_jax.data import fingerprints, input_pipeline
from pic_jax.model import parameters, pic
from pic_jax.runtime import devices, errors, terminal
from pic_jax.saved import (
  backbone_weights,
  checkpoints,
  parameter_check,
  run_config,
  trained_model,
)
from pic_jax.training import growth, train_step


def first_state(
  config: ml_collections.ConfigDict,
  workdir: str,
  model: pic.PIC,
  *,
  optimizer: optax.GradientTransformation,
  training: input_pipeline.TrainingImages,
) -> train_step.TrainState:
  """The last good checkpoint of the workdir, else step 0; on the host.

  Process 0 reads or makes it, the others get it from there.

  Args:
    config: checked.
    workdir: exists.
    model: of the config.
    optimizer: of the config.
    training: images that are trained on.

  Raises:
    RunError: a checkpoint cannot be read, or does not fit the model.
    UserError: it was trained on other images.
  """
  shapes = jax.eval_shape(
    lambda params: train_step.create(params, optimizer),
    parameters.shapes(model, config.data.image_size),
  )
  if devices.is_main():
    state = resumed(workdir, shapes, training.fingerprint)
    if state is None:
      if config.training.init_from:
        params = init_from(config, model, shapes.params, images=training.images)
      else:
        params = fresh(config, model, training.images)
      state = train_step.create(params, optimizer)
  else:
    state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  return devices.broadcast(state)


def resumed(
  workdir: str, shapes: train_step.TrainState, data: dict[str, Any]
) -> train_step.TrainState | None:
  """The last good checkpoint; None if there is none.

  Args:
    workdir: of the run.
    shapes: of the state.
    data: fingerprint of the images found now.

  Raises:
    RunError: it cannot be read, or does not fit the model.
    UserError: it was trained on other images.
  """
  restored = checkpoints.restore(workdir)
  if restored is None:
    return None
  tree, meta = restored
  step = int(meta['step'])
  if note := fingerprints.check_same(meta['data'], data, workdir):
    terminal.say(note)
  terminal.say(f'Resuming {workdir} at step {step}.')
  checkpoints.set_aside_after(workdir, step)
  parameter_check.check_fit(
    tree['params'], shapes.params, f'{workdir} at {step}'
  )
  try:
    return flax.serialization.from_state_dict(shapes, tree)
  except (ValueError, KeyError) as error:
    raise errors.RunError(
      f'{workdir} was written by another version: {error} Start from its '
      'weights with `--config.training.init_from`.'
    ) from None


def init_from(
  config: ml_collections.ConfigDict,
  model: pic.PIC,
  shapes: Any,
  *,
  images: Sequence[np.ndarray],
) -> Any:
  """Loads the averaged parameters of a trained model.

  Networks that this model lacks are dropped. A smaller model grows without
  changing its function, see `growth`. Missing finer levels are drawn and set
  from the first global batch.

  Raises:
    RunError: there is no such model, or it cannot grow to this one.
  """
  source = config.training.init_from
  params, source_config, step = trained_model.load_trained(source)
  for network in sorted(params.keys() - shapes.keys()):
    terminal.say(f'The {network} of {source} is left out.')
    del params[network]
  params = parameters.completed(params, shapes)
  if _sizes(params) != _sizes({name: shapes[name] for name in params}):
    params = growth.grow(params, run_config.build_model(source_config), model)
    terminal.say(f'The model of {source} is grown to the size of this one.')
  missing = sorted(shapes.keys() - params.keys())
  if missing and all(name.startswith('level_') for name in missing):
    terminal.say(f'{source} has no {", ".join(missing)}: drawn at random.')
    first = model.split_lab(_first_batch(config, images))
    params = parameters.with_levels(
      model, params, first, seed=config.training.seed
    )
  parameter_check.check_fit(params, shapes, source)
  terminal.say(f'Starting from {source}, step {step}, with a fresh optimiser.')
  return params


def _sizes(params: parameters.Params) -> Any:
  return jax.tree.map(lambda x: x.shape, params)


def fresh(
  config: ml_collections.ConfigDict,
  model: pic.PIC,
  source: Sequence[np.ndarray],
) -> Any:
  """Draws directions; sets gains and biases from the first global batch."""
  first = _first_batch(config, source)
  backbone = None
  if config.training.backbone_weights:
    backbone = backbone_weights.load(config.training.backbone_weights)
  return parameters.initial(
    model, model.split_lab(first), config.training.seed, backbone=backbone
  )


def _first_batch(
  config: ml_collections.ConfigDict, source: Sequence[np.ndarray]
) -> np.ndarray:
  """The first global batch, [B, H, W, 3] uint8, whatever the hosts."""
  return input_pipeline.train_dataset(
    source,
    config.training.batch_size,
    config.training.seed,
    smallest_crop=config.data.smallest_crop,
  )[0]
