"""Initial weights of an EfficientNet-Lite0 backbone."""

import os
from collections.abc import Iterator

import numpy as np
import safetensors
import safetensors.numpy

from pic_jax.model import efficientnet_lite0
from pic_jax.runtime import errors

# Of the batch norm that is folded away. Some channels have a variance of 0.
BATCH_NORM_EPSILON = 1e-3


def layer_names() -> Iterator[tuple[str, str, str]]:
  """Yields layers and the names of their convolutions and batch norms."""
  yield 'stem', '_conv_stem', '_bn0'
  for index, block in enumerate(efficientnet_lite0.blocks()):
    ours, theirs = f'block_{index:02d}', f'_blocks.{index}'
    if block.expansion > 1:
      yield f'{ours}_expand', f'{theirs}._expand_conv', f'{theirs}._bn0'
    yield f'{ours}_depthwise', f'{theirs}._depthwise_conv', f'{theirs}._bn1'
    yield f'{ours}_project', f'{theirs}._project_conv', f'{theirs}._bn2'
  yield 'head', '_conv_head', '_bn1'


def load(path: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
  """Reads the output of `scripts/convert_efficientnet_lite0.py`.

  Returns:
    The parameters of `EfficientNetLite0`, float32, batch norm folded in.

  Raises:
    RunError: the file is missing or holds other weights.
  """
  try:
    arrays = {
      name: array.astype(np.float32)
      for name, array in safetensors.numpy.load_file(path).items()
    }
    params = {}
    for layer, conv, norm in layer_names():
      variance = arrays[f'{norm}.running_var'] + BATCH_NORM_EPSILON
      gain = arrays[f'{norm}.weight'] / np.sqrt(variance)
      kernel = arrays[f'{conv}.weight'].transpose(2, 3, 1, 0)  # [kh, kw, C, F]
      bias = arrays[f'{norm}.bias'] - gain * arrays[f'{norm}.running_mean']
      params[layer] = {'kernel': kernel * gain, 'bias': bias}
  except FileNotFoundError:
    raise errors.RunError(
      f'{path}: no such file; scripts/convert_efficientnet_lite0.py makes it.'
    ) from None
  except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
    raise errors.RunError(
      f'{path}: not weights of EfficientNet-Lite0 ({error}).'
    ) from None
  return params
