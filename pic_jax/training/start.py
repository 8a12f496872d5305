"""Initial state of training: resumed, from trained weights, or from scratch."""

from typing import Any

import flax.serialization
import jax
import ml_collections
import numpy as np
import optax

from pic_jax.data import fingerprints, image_source, input_pipeline
from pic_jax.model import parameters, pic
from pic_jax.runtime import devices, errors, paths, terminal
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
  """Restores the last good checkpoint of a workdir, or makes a new state.

  Process 0 reads or makes the state, and sends it to the other processes.

  Args:
    config: config of the run.
    workdir: path of the workdir, which exists.
    model: model of the config.
    optimizer: optimiser of the config.
    training: training images and their fingerprint.

  Returns:
    The state, on the host.

  Raises:
    RunError: if a checkpoint or a model of `training.init_from` cannot be read,
      or does not fit the model.
    UserError: if the run was trained on other images, or `training.init_from`
      has an empty entry.
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
  """Restores the last good checkpoint of a workdir.

  Args:
    workdir: path of the workdir.
    shapes: state with a `jax.ShapeDtypeStruct` for each array. The checkpoint
      must have these shapes.
    data: fingerprint of the training images that this process found.

  Returns:
    The state, on the host; None if there is no checkpoint.

  Raises:
    RunError: if the checkpoint cannot be read, or does not fit the model.
    UserError: if the run was trained on other images.
  """
  restored = checkpoints.restore(workdir)
  if restored is None:
    return None
  tree, meta = restored
  step = int(meta['step'])
  if note := fingerprints.check_same(meta['data'], data, workdir):
    terminal.say(note)
  terminal.say(f'Resuming {workdir} at step {step}.')
  parameter_check.check_fit(
    tree['params'], shapes.params, f'{workdir} at step {step}'
  )
  try:
    state = flax.serialization.from_state_dict(shapes, tree)
  except (ValueError, KeyError) as error:
    raise errors.RunError(
      f'{workdir} was written by another version: {error} To start from the '
      f'saved weights, set `--config.training.init_from={workdir}` and choose '
      'another --workdir.'
    ) from None
  # Later checkpoints are renamed only now, because a refused run must change
  # nothing.
  checkpoints.set_aside_after(workdir, step)
  return state


def init_from(
  config: ml_collections.ConfigDict,
  model: pic.PIC,
  shapes: Any,
  *,
  images: image_source.ImageSource,
) -> Any:
  """Loads averaged parameters from the models of `training.init_from`.

  Each network comes from the first trained model that has it. Networks that
  `model` lacks are left out. The first trained model may be smaller than
  `model`: it grows and keeps its function (see `growth`). If no trained model
  supplies the decoder or a finer level, this network gets random directions,
  and gains and biases from the first global batch.

  Args:
    config: config of the run.
    model: model of the config.
    shapes: shapes of the parameters of `model`.
    images: training images.

  Returns:
    The parameters of `model`.

  Raises:
    UserError: if the list of trained models has an empty entry.
    RunError: if a trained model cannot be read, does not fit `model` or
      supplies no network, or if the first one cannot grow.
  """
  source, *others = paths.split(config.training.init_from)
  if not all([source, *others]):
    raise errors.UserError(
      '`training.init_from` has an empty entry: '
      f'{config.training.init_from!r}. Remove the extra comma.'
    )
  params, source_config, step = trained_model.load_trained(source)
  source_model = run_config.build_model(source_config)
  params = _usable(source, params, shapes)
  params = parameters.with_hint_kernel(params, shapes)
  if _sizes(params) != _sizes({name: shapes[name] for name in params}):
    params = growth.grow(params, source_model, model)
    terminal.say(f'The model of {source} grows to the size of this model.')
  for other in others:
    params = _with_networks_of(other, params, shapes)
  missing = sorted(shapes.keys() - params.keys())
  if missing and 'embedding' not in missing:
    terminal.say(
      'Networks that `training.init_from` does not supply are initialised at '
      f'random: {", ".join(missing)}.'
    )
    first_batch = _first_batch(config, images)
    params = parameters.with_missing_networks(
      model, params, model.split_lab(first_batch), seed=config.training.seed
    )
  parameter_check.check_fit(params, shapes, config.training.init_from)
  terminal.say(f'Starting from {source}, step {step}, with a fresh optimiser.')
  return params


def _usable(
  source: str, params: parameters.Params, shapes: Any
) -> parameters.Params:
  """Leaves out the networks of a trained model that are not in `shapes`."""
  params = dict(params)
  for network in sorted(params.keys() - shapes.keys()):
    terminal.say(
      f'The network {network!r} of {source} is left out, because this model '
      'does not have it.'
    )
    del params[network]
  return params


def _with_networks_of(
  source: str, params: parameters.Params, shapes: Any
) -> parameters.Params:
  """Adds to `params` the networks that it lacks and a trained model has.

  Args:
    source: the trained model, see `trained_model.load`.
    params: parameters of some networks of the model to train.
    shapes: shapes of the parameters of the model to train.

  Raises:
    RunError: if the trained model cannot be read, has no network to add, or
      does not fit.
  """
  source_params, _, step = trained_model.load_trained(source)
  added = sorted((source_params.keys() & shapes.keys()) - params.keys())
  if not added:
    raise errors.RunError(
      f'`training.init_from` names {source}, but the models named before it '
      'already have all of its networks that this model needs. Leave out '
      f'{source}.'
    )
  added_params = {name: source_params[name] for name in added}
  parameter_check.check_fit(
    added_params, {name: shapes[name] for name in added}, source
  )
  terminal.say(f'Taking {", ".join(added)} from {source}, step {step}.')
  return {**params, **added_params}


def _sizes(params: parameters.Params) -> Any:
  return jax.tree.map(lambda x: x.shape, params)


def fresh(
  config: ml_collections.ConfigDict,
  model: pic.PIC,
  images: image_source.ImageSource,
) -> Any:
  """Initialises all parameters, see `parameters.initial`.

  The gains and biases come from the first global batch. The backbone's
  parameters are read from `training.backbone_weights`, if set.
  """
  first_batch = _first_batch(config, images)
  backbone = None
  if config.training.backbone_weights:
    backbone = backbone_weights.load(config.training.backbone_weights)
  return parameters.initial(
    model,
    model.split_lab(first_batch),
    config.training.seed,
    backbone=backbone,
  )


def _first_batch(
  config: ml_collections.ConfigDict, images: image_source.ImageSource
) -> np.ndarray:
  """Returns the first global batch, the same for any number of hosts.

  Returns:
    Images [B, H, W, 3] uint8.
  """
  return input_pipeline.train_dataset(
    images,
    config.training.batch_size,
    config.training.seed,
    smallest_crop=config.data.smallest_crop,
  )[0]
