"""Files of weights: safetensors files that also hold the config of the run."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import flax.traverse_util
import ml_collections
import numpy as np
import safetensors
import safetensors.numpy

from pic_jax.model import colour_prior
from pic_jax.runtime import errors, whole_file
from pic_jax.saved import earlier_versions, recommended_sampling, run_config

SUFFIX = '.safetensors'
# First bytes of the text file that Git LFS puts in place of a large file.
LFS = b'version https://git-lfs'
# Metadata key of the prior of colours, by which guidance divides.
PRIOR_KEY = 'colour_prior'
# Folder of the models that come with this package. Each has a card, NAME.md.
PUBLISHED = pathlib.Path(__file__).parents[1] / 'pretrained'


def published() -> dict[str, pathlib.Path]:
  """Returns the paths of the models in this package, keyed by name."""
  return {path.stem: path for path in sorted(PUBLISHED.glob(f'*{SUFFIX}'))}


def save(
  path: str | os.PathLike,
  params: Any,
  config: ml_collections.ConfigDict,
  *,
  step: int,
  recommended: recommended_sampling.RecommendedSampling | None = None,
  prior: np.ndarray | None = None,
  dtype: str = 'float16',
) -> None:
  """Writes a file of weights, and a readable NAME.json next to it.

  NAME.json repeats the config, the step and the recommended settings, and gives
  the SHA-256 of the file. Each of the two files appears whole or not at all.

  Args:
    path: path of the file; must end in .safetensors.
    params: tree of float32 arrays, usually `ema_params`.
    config: config of the run, stored as JSON in the file's metadata.
    step: number of training steps that led to `params`.
    recommended: sampling settings for photographs; None for exact samples.
    prior: prior of colours [64, 64], see `colour_prior`, or None.
    dtype: type of the stored arrays, 'float16' (half the size) or 'float32'.

  Raises:
    RunError: if the path has another suffix, or a value does not fit into
      `dtype`.
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
        f'{path}: {name} is not finite as {dtype}. Its largest absolute value '
        f'is {np.abs(flat[name]).max():.3g}.'
      )
  recommended = recommended or recommended_sampling.RecommendedSampling()
  metadata = {
    'config': run_config.to_json(config),
    'step': str(step),
    recommended_sampling.KEY: recommended.to_json(),
  }
  if prior is not None:
    metadata[PRIOR_KEY] = colour_prior.to_text(prior)
  path.parent.mkdir(parents=True, exist_ok=True)
  data = safetensors.numpy.save(arrays, metadata)
  whole_file.write_bytes(path, data)
  description = {
    'file': path.name,
    'sha256': hashlib.sha256(data).hexdigest(),
    'step': step,
    recommended_sampling.KEY: dataclasses.asdict(recommended),
    'config': config.to_dict(),
  }
  text = json.dumps(description, indent=2) + '\n'
  whole_file.write_text(path.with_suffix('.json'), text)


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Any]:
  """Opens a file of weights for reading.

  Raises:
    RunError: if the file is missing or damaged, or `save` did not write it.
  """
  try:
    with safetensors.safe_open(path, 'numpy') as file:
      yield file
  except FileNotFoundError:
    raise errors.RunError(f'{path}: no such file.') from None
  except OSError as error:
    reason = error.strerror or error
    raise errors.RunError(f'{path}: cannot be read ({reason}).') from None
  except (
    AttributeError,  # from safetensors, for a dtype that numpy lacks
    KeyError,
    ValueError,  # from json and int
    safetensors.SafetensorError,
  ) as error:
    with contextlib.suppress(OSError), open(path, 'rb') as raw:
      if raw.read(len(LFS)) == LFS:
        raise errors.RunError(
          f'{path} is a pointer of Git LFS. Fetch the file with `git lfs pull`.'
        ) from None
    raise errors.RunError(
      f'{path}: not a file of weights of pic_jax ({error}).'
    ) from None


def load(
  path: str | os.PathLike,
) -> tuple[Any, ml_collections.ConfigDict, int]:
  """Reads a file of weights.

  Returns:
    Tree of parameters as float32 numpy arrays, the config of the run, and the
    number of training steps.

  Raises:
    RunError: if the file is missing or damaged, cannot be read, or was not
      written by `save` of this or an earlier version.
  """
  with _opened(path) as file:
    metadata = file.metadata() or {}
    text, step = metadata['config'], int(metadata['step'])
    json.loads(text)  # here, so that damage is not blamed on a newer version
    flat = {
      name: file.get_tensor(name).astype(np.float32) for name in file.keys()
    }
  config = run_config.stored(text, str(path))
  return flax.traverse_util.unflatten_dict(flat, sep='/'), config, step


def load_recommended(
  path: str | os.PathLike,
) -> recommended_sampling.RecommendedSampling:
  """Reads the sampling settings that a file recommends for photographs.

  Raises:
    RunError: if the file is missing or damaged, or `save` did not write it.
  """
  with _opened(path) as file:
    metadata = file.metadata() or {}
    if recommended_sampling.KEY in metadata:
      values = json.loads(metadata[recommended_sampling.KEY])
    else:
      values = earlier_versions.recommended(json.loads(metadata['config']))
    return recommended_sampling.RecommendedSampling.from_values(values)


def load_prior(path: str | os.PathLike) -> np.ndarray | None:
  """Reads the prior of colours that a file holds.

  Returns:
    The prior, [64, 64] float32 (see `colour_prior`), or None if there is none.

  Raises:
    RunError: if the file is missing or damaged, or `save` did not write it.
  """
  with _opened(path) as file:
    text = (file.metadata() or {}).get(PRIOR_KEY)
    return None if text is None else colour_prior.from_text(text)
