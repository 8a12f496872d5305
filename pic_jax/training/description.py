"""Description of a config before training: layers, FLOPs and disk space."""

import dataclasses
import pathlib
import shutil
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from pic_jax.model import efficientnet_lite0, layers, parameters, pic
from pic_jax.saved import run_config

# Number of float32 arrays in a checkpoint for each parameter: the parameter,
# its average and the two moments of Adam.
ARRAYS_PER_CHECKPOINT = 4
# FLOPs per multiply-add. The backward pass does each product of the forward
# pass twice. Frozen layers have no backward pass.
FORWARD_FLOPS, BACKWARD_FLOPS = 2, 4


@dataclasses.dataclass
class Layer:
  """Row of the layer table: a convolution, a residual block or the backbone.

  Attributes:
    name: 'network/layer'.
    operation: kind of the layer, for instance '3x3 conv / 2' (with a stride of
      2) or 'gated block'.
    resolution: (h, w) of the output.
    width: number of output channels.
    dilation: largest dilation of the layer's convolutions.
    num_parameters: number of parameters.
    multiply_adds: number of multiply-adds of the layer's convolutions for one
      image. Multiply-adds with zeros of the padding are also counted.
    num_frozen: number of these multiply-adds that have no backward pass.
  """

  name: str
  operation: str
  resolution: tuple[int, int]
  width: int
  dilation: int
  num_parameters: int
  multiply_adds: int
  num_frozen: int = 0


def layer_table(model: pic.PIC, image_size: int) -> list[Layer]:
  """Lists the layers of a model in the order of execution (paper Table 1)."""
  table: dict[tuple[str, ...], Layer] = {}
  seen = set()

  def record(next_fn: Any, *call: Any) -> Any:
    args, kwargs, context = call
    output = next_fn(*args, **kwargs)
    module = context.module
    is_call = context.method_name == '__call__'
    kinds = (layers.WeightNormConv, efficientnet_lite0.Layer)
    is_conv = is_call and isinstance(module, kinds)
    # A causal convolution inherits from a plain one and calls it, so the same
    # module comes twice.
    if is_conv and module.path not in seen:
      seen.add(module.path)
      _count(table, module, sum(x.shape[-1] for x in args), shape=output.shape)
    return output

  chroma_size = image_size // model.chroma_factor
  with nn.intercept_methods(record):
    jax.eval_shape(
      model.clone(remat=False).init,
      jax.random.key(0),
      jnp.zeros((1, image_size, image_size, 1)),
      jnp.zeros((1, chroma_size, chroma_size, 2)),
    )
  return list(table.values())


def _count(
  table: dict[tuple[str, ...], Layer],
  module: layers.WeightNormConv | efficientnet_lite0.Layer,
  channels: int,
  *,
  shape: tuple[int, ...],
) -> None:
  """Adds a convolution to its row of the table.

  All convolutions of a residual block share a row, and all convolutions of the
  backbone share a row.

  Args:
    table: rows, keyed by the path of the module.
    module: the convolution.
    channels: number of input channels of the convolution.
    shape: shape of its output, [B, h, w, C].
  """
  path, width = module.path, module.features
  if isinstance(module, efficientnet_lite0.Layer):
    path, name, operation, dilation = path[:-1], path[-2], 'backbone', 1
    num_weights = module.kernel_size**2 * width
    num_weights *= 1 if module.is_depthwise else channels
    # The kernel of the stem has three input channels, but its input is grey.
    num_parameters = (3 if module.is_grey else 1) * num_weights + width
    is_frozen = module.is_frozen
  else:
    rows, columns = module.kernel_size
    operation = f'{rows}x{columns} conv'
    if module.stride > 1:
      operation += f' / {module.stride}'
    num_weights = rows * columns * channels * width
    num_parameters = num_weights + 2 * width
    dilation, is_frozen = module.dilation, False
    block = module.parent
    if isinstance(block, layers.GatedBlock):
      path, width = block.path, block.features
      operation = 'gated block' if block.gated else 'block'
    name = '/'.join(path)
  layer = table.setdefault(path, Layer(name, operation, (0, 0), 0, 1, 0, 0))
  # The backbone has the output size of its last convolution, and a block has
  # the output size of its first convolution.
  if operation == 'backbone' or not layer.width:
    layer.resolution, layer.width = (shape[1], shape[2]), width
  layer.dilation = max(layer.dilation, dilation)
  layer.num_parameters += num_parameters
  multiply_adds = num_weights * shape[1] * shape[2]
  layer.multiply_adds += multiply_adds
  layer.num_frozen += multiply_adds if is_frozen else 0


def _flops(table: list[Layer], frozen: tuple[str, ...]) -> int:
  """Counts the FLOPs of training on one image.

  Args:
    table: layers of the model.
    frozen: names of the networks that do not learn (`training.frozen`).
  """
  total = 0
  for layer in table:
    is_frozen = layer.name.partition('/')[0] in frozen
    trained = 0 if is_frozen else layer.multiply_adds - layer.num_frozen
    total += FORWARD_FLOPS * layer.multiply_adds + BACKWARD_FLOPS * trained
  return total


def run(
  config: ml_collections.ConfigDict, num_images: int | None, workdir: str | None
) -> dict[str, Any]:
  """Computes the entries that `to_text` prints.

  Args:
    config: config that `config_check.check` accepted.
    num_images: number of images of the training split; None if it is not known.
    workdir: path of the folder for checkpoints; None for the current folder.
  """
  model = run_config.build_model(config)
  table = layer_table(model, config.data.image_size)
  # Some parameters belong to no layer of the table: the kernel that reads hints
  # and the scalars of the attention.
  shapes = parameters.shapes(model, config.data.image_size)
  num_parameters = sum(x.size for x in jax.tree.leaves(shapes))
  multiply_adds = sum(layer.multiply_adds for layer in table)
  folder = pathlib.Path(workdir or '.').absolute()
  while not folder.exists():
    folder = folder.parent
  training = config.training
  return {
    'layers': [
      {k: v for k, v in dataclasses.asdict(layer).items() if k != 'num_frozen'}
      for layer in table
    ],
    'num_parameters': num_parameters,
    'multiply_adds_per_image': multiply_adds,
    'flops_per_step': training.batch_size * _flops(table, training.frozen),
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
  size, num_kept = report['checkpoint_bytes'], report['num_checkpoints']
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
    f'checkpoints: {num_kept} x {size / 1e6:,.1f} MB, '
    f'{report["free_bytes"] / 1e6:,.0f} MB free',
  ]
  # One more, because the oldest is deleted only after the new one is written.
  if (num_kept + 1) * size > report['free_bytes']:
    lines.append('WARNING: the disk has no room for all checkpoints.')
  return '\n'.join(lines)
