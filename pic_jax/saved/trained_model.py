"""Loading of trained models from workdirs and files of weights."""

import json
import pathlib
from typing import Any

import ml_collections
import numpy as np

from pic_jax.model import parameters
from pic_jax.runtime import errors, paths
from pic_jax.saved import (
  earlier_versions,
  parameter_check,
  recommended_sampling,
  run_config,
  weights_file,
)


def load(source: str) -> tuple[Any, ml_collections.ConfigDict, int]:
  """Reads a trained model.

  Args:
    source: path of a workdir, whose last undamaged checkpoint is read;
      'workdir@step' for the checkpoint of one step; path of a .safetensors
      file; or name of a published model. A workdir with the name of a
      published model is preferred, even if it has no checkpoint.

  Returns:
    The state as nested dicts of numpy arrays, the config of the run, and the
    training step. The state from a file holds only `ema_params`.

  Raises:
    RunError: if there is no usable model.
  """
  path, is_file, given_step = _locate(source)
  if is_file:
    params, config, step = weights_file.load(path)
    tree = {'ema_params': params}
  else:
    tree, config, step = _load_workdir(path, given_step)
  # The check traces the network, which takes two seconds. Published weights do
  # not need it, because `tests/saved/pretrained_test.py` checks them.
  if pathlib.Path(path).parent != weights_file.PUBLISHED:
    expected = parameters.shapes(
      run_config.build_model(config), config.data.image_size
    )
    parameter_check.check_fit(tree['ema_params'], expected, path)
  return tree, config, step


def _locate(source: str) -> tuple[str, bool, int | None]:
  """Resolves the `source` of `load`.

  Returns:
    Path of a workdir or file, whether it is a file of weights, and the step in
    'workdir@step' or None.
  """
  source = paths.expand(source)
  if any(
    (pathlib.Path(source) / name).exists()
    for name in (run_config.CHECKPOINTS, run_config.CONFIG_FILE)
  ):
    return source, False, None  # a workdir, even if a model has the same name
  published = weights_file.published()
  if source in published:
    return str(published[source]), True, None
  if source.endswith(weights_file.SUFFIX):
    return source, True, None
  workdir, _, step = source.rpartition('@')
  if workdir and step.isdecimal():
    return workdir, False, int(step)
  return source, False, None


def load_recommended(source: str) -> recommended_sampling.RecommendedSampling:
  """Reads the sampling settings that a model recommends for photographs.

  A workdir recommends exact samples. Only configs from before version 0.1.0 may
  hold other settings.

  Args:
    source: source of the model, see `load`.

  Raises:
    RunError: if the source is a file of weights that cannot be read.
  """
  path, is_file, _ = _locate(source)
  if is_file:
    return weights_file.load_recommended(path)
  config_path = pathlib.Path(path) / run_config.CONFIG_FILE
  try:
    stored = json.loads(config_path.read_text(encoding='utf-8'))
    values = earlier_versions.recommended(stored)
  except (OSError, ValueError, AttributeError):
    values = {}  # config.json may be missing or damaged, see `load_config`
  return recommended_sampling.RecommendedSampling.from_values(values)


def load_prior(source: str) -> np.ndarray | None:
  """Reads the prior of colours that belongs to a model.

  Args:
    source: source of the model, see `load`.

  Returns:
    The prior, [64, 64] float32 (see `colour_prior`). None for workdirs and for
    files without a prior.

  Raises:
    RunError: if the source is a file of weights that cannot be read.
  """
  path, is_file, _ = _locate(source)
  return weights_file.load_prior(path) if is_file else None


def _load_workdir(
  workdir: str, step: int | None
) -> tuple[Any, ml_collections.ConfigDict, int]:
  """Reads a checkpoint for `load`.

  Args:
    workdir: path of the workdir.
    step: step of the checkpoint, or None for the last undamaged one.

  Returns:
    The state, the config and the step, as `load` returns them.

  Raises:
    RunError: if there is no usable checkpoint.
  """
  # Imported here, because `pip install .` does not install Orbax.
  from pic_jax.saved import checkpoints

  restored = checkpoints.restore(workdir, step)
  if restored is None:
    published = ', '.join(weights_file.published())
    advice = f'The published models are {published}.'
    if enclosing := _workdir_around(pathlib.Path(workdir)):
      advice = f'It is inside a workdir. Did you mean {enclosing}?'
    raise errors.RunError(f'{workdir} has no checkpoint. {advice}')
  tree, meta = restored
  return tree, run_config.stored(meta['config'], workdir), int(meta['step'])


def _workdir_around(path: pathlib.Path) -> str:
  """Returns the workdir that a path is a part of, if any.

  Args:
    path: path without a checkpoint.

  Returns:
    If the path is the config or the folder of checkpoints of a workdir, the
    workdir; if it is the folder of one checkpoint, 'workdir@step'; otherwise
    ''.
  """
  if not path.exists():
    return ''
  if path.name in (run_config.CONFIG_FILE, run_config.CHECKPOINTS):
    return str(path.parent)
  if path.name.isdecimal() and path.parent.name == run_config.CHECKPOINTS:
    return f'{path.parent.parent}@{path.name}'
  return ''


def load_config(source: str) -> ml_collections.ConfigDict:
  """Reads the config of a trained model, without its weights if possible.

  Args:
    source: source of the model, see `load`.

  Raises:
    RunError: if there is no usable model.
  """
  path, is_file, step = _locate(source)
  config = None
  if not is_file and step is None:
    config = run_config.read(path)
  return config or load(source)[1]


def load_trained(source: str) -> tuple[Any, ml_collections.ConfigDict, int]:
  """Reads the averaged parameters of a trained model.

  Args:
    source: source of the model, see `load`.

  Returns:
    The tree `ema_params`, the config of the run, and the training step.

  Raises:
    RunError: if there is no usable model.
  """
  tree, config, step = load(source)
  return tree['ema_params'], config, step
