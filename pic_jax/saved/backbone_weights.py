"""Loading of the initial weights of an EfficientNet-Lite0 backbone."""

import os
from collections.abc import Iterator

import numpy as np
import safetensors
import safetensors.numpy

from pic_jax.model import efficientnet_lite0
from pic_jax.runtime import errors

# Epsilon with which the batch norms were trained. It avoids a division by 0 in
# channels whose variance is 0.
BATCH_NORM_EPSILON = 1e-3


def layer_names() -> Iterator[tuple[str, str, str]]:
  """Yields the name of each layer and of its parts in a file of weights.

  Yields:
    Tuples (layer, convolution, batch norm). The layer is a name in
    `EfficientNetLite0`; the other two are prefixes of names in the file.
  """
  yield 'stem', '_conv_stem', '_bn0'
  for index, block in enumerate(efficientnet_lite0.blocks()):
    layer, prefix = f'block_{index:02d}', f'_blocks.{index}'
    if block.expansion > 1:
      yield f'{layer}_expand', f'{prefix}._expand_conv', f'{prefix}._bn0'
    yield f'{layer}_depthwise', f'{prefix}._depthwise_conv', f'{prefix}._bn1'
    yield f'{layer}_project', f'{prefix}._project_conv', f'{prefix}._bn2'
  yield 'head', '_conv_head', '_bn1'


def load(path: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
  """Reads the output of `scripts/convert_efficientnet_lite0.py`.

  Args:
    path: path of the file.

  Returns:
    Parameters of `EfficientNetLite0` in float32. Batch norms are folded into
    kernels and biases.

  Raises:
    RunError: if the file is missing or holds other weights.
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
      f'{path}: no such file. Create it with '
      'scripts/convert_efficientnet_lite0.py.'
    ) from None
  except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
    raise errors.RunError(
      f'{path}: not weights of EfficientNet-Lite0 ({error}).'
    ) from None
  return params
