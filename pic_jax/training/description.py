"""Description of a config before it runs: layers, arithmetic, memory."""

import dataclasses
import pathlib
import shutil
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from pic_jax.model import efficientnet_lite0, layers, pic
from pic_jax.saved import run_config

# Float32 arrays of the size of the parameters in a checkpoint: themselves,
# their average and the two moments of Adam.
ARRAYS_PER_CHECKPOINT = 4
# The backward pass takes each product of the forward pass twice, and a
# multiply-add is two operations.
FLOPS_PER_MULTIPLY_ADD = 6


@dataclasses.dataclass
class Layer:
  """A convolution, or all of a residual block, for one image.

  Attributes:
    name: 'network/layer'.
    operation: '3x3 conv' or 'gated block', with stride.
    resolution: (h, w) of its output.
    width: channels of its output.
    dilation: of its first convolution.
    num_parameters: V, g and b.
    multiply_adds: in convolutions, zeros of the padding included.
  """

  name: str
  operation: str
  resolution: tuple[int, int]
  width: int
  dilation: int
  num_parameters: int
  multiply_adds: int


def layer_table(model: pic.PIC, image_size: int) -> list[Layer]:
  """Lists the layers of a model in the order of their use (paper Table 1)."""
  table: dict[tuple[str, ...], Layer] = {}
  seen = set()

  def record(next_fn: Any, args: Any, kwargs: Any, context: Any) -> Any:
    output = next_fn(*args, **kwargs)
    module = context.module
    is_call = context.method_name == '__call__'
    kinds = (layers.WeightNormConv, efficientnet_lite0.Layer)
    is_conv = is_call and isinstance(module, kinds)
    # A causal convolution calls a plain one: the same module twice.
    if is_conv and module.path not in seen:
      seen.add(module.path)
      _count(table, module, sum(x.shape[-1] for x in args), output.shape)
    return output

  small = image_size // model.chroma_factor
  with nn.intercept_methods(record):
    jax.eval_shape(
      model.clone(remat=False).init,
      jax.random.key(0),
      jnp.zeros((1, image_size, image_size, 1)),
      jnp.zeros((1, small, small, 2)),
    )
  return list(table.values())


def _count(
  table: dict[tuple[str, ...], Layer],
  module: layers.WeightNormConv,
  channels: int,
  shape: tuple[int, ...],
) -> None:
  """Adds a convolution to its row of the table.

  Args:
    table: rows by path.
    module: the convolution.
    channels: of its input.
    shape: of its output.
  """
  if isinstance(module, efficientnet_lite0.Layer):
    _count_backbone(table, module, channels, shape)
    return
  (rows, columns), features = module.kernel_size, module.features
  path, width = module.path, features
  operation = f'{rows}x{columns} conv'
  if module.stride > 1:
    operation += f' / {module.stride}'
  block = module.parent
  if isinstance(block, layers.GatedBlock):
    path, width = block.path, block.features
    operation = 'gated block' if block.gated else 'block'
  layer = table.setdefault(
    path, Layer('/'.join(path), operation, shape[1:3], width, 1, 0, 0)
  )
  kernel = rows * columns * channels * features
  layer.dilation = max(layer.dilation, module.dilation)
  layer.num_parameters += kernel + 2 * features
  layer.multiply_adds += kernel * shape[1] * shape[2]


def _count_backbone(
  table: dict[tuple[str, ...], Layer],
  module: efficientnet_lite0.Layer,
  channels: int,
  shape: tuple[int, ...],
) -> None:
  """Adds a layer of the backbone to its one row; see `_count`."""
  path, features = module.path[:-1], module.features
  layer = table.setdefault(
    path, Layer('/'.join(path[-1:]), 'backbone', shape[1:3], features, 1, 0, 0)
  )
  layer.resolution, layer.width = shape[1:3], features  # the last: its head
  kernel = module.kernel_size**2 * features
  if not module.is_depthwise:
    kernel *= channels
  layer.multiply_adds += kernel * shape[1] * shape[2]
  # The stem's kernel has three channels, its input one.
  layer.num_parameters += (3 if module.is_grey else 1) * kernel + features


def run(
  config: ml_collections.ConfigDict, num_images: int | None, workdir: str | None
) -> dict[str, Any]:
  """Computes the entries that `to_text` prints.

  Args:
    config: checked.
    num_images: of the training split; None if it is not known.
    workdir: where checkpoints will be.
  """
  table = layer_table(run_config.build_model(config), config.data.image_size)
  num_parameters = sum(layer.num_parameters for layer in table)
  multiply_adds = sum(layer.multiply_adds for layer in table)
  folder = pathlib.Path(workdir or '.').absolute()
  while not folder.exists():
    folder = folder.parent
  training = config.training
  return {
    'layers': [dataclasses.asdict(layer) for layer in table],
    'num_parameters': num_parameters,
    'multiply_adds_per_image': multiply_adds,
    'flops_per_step': (
      FLOPS_PER_MULTIPLY_ADD * multiply_adds * training.batch_size
    ),
    'num_devices': jax.device_count(),
    'num_processes': jax.process_count(),
    'device': jax.devices()[0].device_kind,
    'batch_size': training.batch_size,
    'batch_size_per_device': training.batch_size / jax.device_count(),
    'num_steps': training.num_steps,
    'data': config.data.name,
    'split': config.data.train_split,
    'num_images': num_images,
    'image_size': config.data.image_size,
    'checkpoint_bytes': 4 * ARRAYS_PER_CHECKPOINT * num_parameters,
    'num_checkpoints': training.num_checkpoints,
    'free_bytes': shutil.disk_usage(folder).free,
  }


def to_text(report: dict[str, Any]) -> str:
  """Formats the report as lines."""
  lines = [
    f'{"layer":27} {"operation":14} {"resolution":>10} {"width":>5} '
    f'{"dilation":>8} {"parameters":>11} {"10^6 mult-adds":>14}'
  ]
  for layer in report['layers']:
    height, width = layer['resolution']
    lines.append(
      f'{layer["name"]:27} {layer["operation"]:14} '
      f'{f"{height} x {width}":>10} {layer["width"]:5} {layer["dilation"]:8} '
      f'{layer["num_parameters"]:11,} {layer["multiply_adds"] / 1e6:14,.2f}'
    )
  count = report['num_images']
  images = 'not opened' if count is None else f'{count:,} images'
  size, kept = report['checkpoint_bytes'], report['num_checkpoints']
  epochs = ''
  if count:
    epochs = (
      f', {report["num_steps"] * report["batch_size"] / count:.1f} epochs'
    )
  lines += [
    f'{report["num_parameters"]:,} parameters, '
    f'{report["multiply_adds_per_image"] / 1e9:.3f} x 10^9 multiply-adds per '
    'image',
    f'data: {report["data"]} {report["split"]}, {images} of '
    f'{report["image_size"]} x {report["image_size"]}',
    f'devices: {report["num_devices"]} x {report["device"]} in '
    f'{report["num_processes"]} process(es), '
    f'{report["batch_size_per_device"]:g} images each, '
    f'{report["batch_size"]} per step',
    f'training: {report["num_steps"]:,} steps{epochs}, '
    f'{report["flops_per_step"]:.3g} FLOP per step',
    f'checkpoints: {kept} x {size / 1e6:,.1f} MB, '
    f'{report["free_bytes"] / 1e6:,.0f} MB free',
  ]
  # While one is written, the oldest is still there.
  if (kept + 1) * size > report['free_bytes']:
    lines.append('WARNING: the disk has no room for all checkpoints.')
  return '\n'.join(lines)
