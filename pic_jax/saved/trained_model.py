"""Loading of trained models: a workdir, one of its steps, a file, a name."""

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
    source: a workdir (its last good checkpoint), 'workdir@step', a
      .safetensors file, or the name of a published model, unless a workdir has
      this name, even one without a checkpoint.

  Returns:
    The state as nested dicts of numpy arrays (of a file: only `ema_params`),
    the config of the run, the step.

  Raises:
    RunError: nothing usable is there.
  """
  source, is_file, step = _locate(source)
  if is_file:
    params, config, step = weights_file.load(source)
    tree = {'ema_params': params}
  else:
    tree, config, step = _load_workdir(source, step)
  # Tracing the network takes two seconds; those that come with the package
  # are known to fit (`tests/saved/pretrained_test.py`).
  if pathlib.Path(source).parent != weights_file.PUBLISHED:
    expected = parameters.shapes(
      run_config.build_model(config), config.data.image_size
    )
    parameter_check.check_fit(tree['ema_params'], expected, source)
  return tree, config, step


def _locate(source: str) -> tuple[str, bool, int | None]:
  """Resolves the `source` of `load`.

  Returns:
    A path, whether it is a file of weights, and the step of a workdir if it is
    named.
  """
  source = paths.expand(source)
  if any(
    (pathlib.Path(source) / name).exists()
    for name in (run_config.CHECKPOINTS, run_config.CONFIG_FILE)
  ):
    return source, False, None  # a workdir, whatever its name
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
  """Reads how photographs should be drawn; `source` as in `load`.

  A workdir recommends exact samples, unless an earlier version wrote it.

  Raises:
    RunError: a file of weights that cannot be read.
  """
  source, is_file, _ = _locate(source)
  if is_file:
    return weights_file.load_recommended(source)
  path = pathlib.Path(source) / run_config.CONFIG_FILE
  try:
    stored = json.loads(path.read_text(encoding='utf-8'))
    values = earlier_versions.recommended(stored)
  except (OSError, ValueError, AttributeError):
    values = {}  # checkpoints have a copy of the config
  return recommended_sampling.RecommendedSampling.from_values(values)


def load_prior(source: str) -> np.ndarray | None:
  """Reads the prior of colours of a file; workdirs have none.

  Raises:
    RunError: a file of weights that cannot be read.
  """
  source, is_file, _ = _locate(source)
  return weights_file.load_prior(source) if is_file else None


def _load_workdir(
  workdir: str, step: int | None
) -> tuple[Any, ml_collections.ConfigDict, int]:
  """`load` of a workdir, whose last good checkpoint has the step None."""
  # Imported here, because only a workdir needs Orbax.
  from pic_jax.saved import checkpoints

  restored = checkpoints.restore(workdir, step)
  if restored is None:
    raise errors.RunError(
      f'{workdir} has no checkpoint; published models are '
      f'{", ".join(weights_file.published())}.'
    )
  tree, meta = restored
  return tree, run_config.stored(meta['config'], workdir), int(meta['step'])


def load_config(source: str) -> ml_collections.ConfigDict:
  """Reads only the config of a trained model; `source` as in `load`."""
  path, is_file, step = _locate(source)
  config = None
  if not is_file and step is None:
    config = run_config.read(path)
  return config or load(source)[1]


def load_trained(source: str) -> tuple[Any, ml_collections.ConfigDict, int]:
  """Reads a trained model for evaluation or sampling: `load`, averaged only."""
  tree, config, step = load(source)
  return tree['ema_params'], config, step
