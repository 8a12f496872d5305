"""Published weights: one safetensors file with the config inside."""

import hashlib
import json
import os
import pathlib
from typing import Any

import flax.traverse_util
import ml_collections
import numpy as np
import safetensors
import safetensors.numpy

from pic_jax.runtime import errors
from pic_jax.saved import run_config

SUFFIX = '.safetensors'
# The models that come with this package, each with its card, NAME.md.
PUBLISHED = pathlib.Path(__file__).parents[1] / 'pretrained'


def published() -> dict[str, pathlib.Path]:
  """Files of the models that come with this package, by name."""
  return {path.stem: path for path in sorted(PUBLISHED.glob(f'*{SUFFIX}'))}


def save(
  path: str | os.PathLike,
  params: Any,
  config: ml_collections.ConfigDict,
  step: int,
  dtype: str = 'float16',
) -> None:
  """Writes (averaged) parameters; the file appears whole or not at all.

  Beside it, NAME.json tells people the config, the step and the sha256.

  Args:
    path: ends in .safetensors.
    params: tree of float32 arrays.
    config: of the run; stored as JSON in the file's metadata.
    step: steps trained.
    dtype: 'float16' (half the size) or 'float32'.

  Raises:
    RunError: another suffix, or a value that `dtype` does not hold.
  """
  path = pathlib.Path(path)
  if path.suffix != SUFFIX:
    raise errors.RunError(f'{path}: the name must end in {SUFFIX}.')
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  with np.errstate(over='ignore'):
    arrays = {name: np.asarray(x).astype(dtype) for name, x in flat.items()}
  for name, array in arrays.items():
    if not np.isfinite(array).all():
      raise errors.RunError(
        f'{path}: {name} is not finite as {dtype}; its largest value is '
        f'{np.abs(flat[name]).max():.3g}.'
      )
  metadata = {'config': run_config.to_json(config), 'step': str(step)}
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  data = safetensors.numpy.save(arrays, metadata)
  with errors.naming(path):
    temporary.write_bytes(data)
  temporary.replace(path)
  description = {
    'file': path.name,
    'sha256': hashlib.sha256(data).hexdigest(),
    'step': step,
    'config': config.to_dict(),
  }
  path.with_suffix('.json').write_text(json.dumps(description, indent=2) + '\n')


def load(
  path: str | os.PathLike,
) -> tuple[Any, ml_collections.ConfigDict, int]:
  """Reads what `save` wrote.

  Returns:
    Parameters (float32 numpy), the config, the step.

  Raises:
    RunError: missing, damaged, not written by `save`, or by a newer version;
      or the system cannot read it.
  """
  try:
    with safetensors.safe_open(path, 'numpy') as file:
      metadata = file.metadata() or {}
      text, step = metadata['config'], int(metadata['step'])
      json.loads(text)
      flat = {
        name: file.get_tensor(name).astype(np.float32) for name in file.keys()
      }
  except FileNotFoundError:
    raise errors.RunError(f'{path}: no such file.') from None
  except OSError as error:
    reason = error.strerror or error
    raise errors.RunError(f'{path}: cannot be read ({reason}).') from None
  except (
    AttributeError,  # of a kind that numpy does not have
    KeyError,
    ValueError,  # of json and int
    safetensors.SafetensorError,
  ) as error:
    raise errors.RunError(
      f'{path}: not weights of pic_jax ({error}).'
    ) from None
  config = run_config.stored(text, str(path))
  return flax.traverse_util.unflatten_dict(flat, sep='/'), config, step
