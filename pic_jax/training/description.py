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

# Number of float32 values in a checkpoint for each parameter: its value, its
# average and the two moments of Adam. Muon keeps only one moment, and a frozen
# parameter has none, so the estimate is an upper bound.
VALUES_PER_PARAMETER = 4
# FLOPs in the forward and in the backward pass for each multiply-add of the
# forward pass. The backward pass needs two multiply-adds: one for the gradient
# of the input and one for that of the kernel. For frozen layers, only the
# forward pass is counted.
FORWARD_FLOPS, BACKWARD_FLOPS = 2, 4


@dataclasses.dataclass
class Layer:
  """Row of the layer table: a convolution, a residual block or the backbone.

  Attributes:
    name: 'network/layer', or 'efficientnet_lite0' for the backbone.
    operation: kind of the layer, for instance '3x3 conv / 2' (with a stride of
      2) or 'gated block'.
    resolution: (h, w) of the output.
    width: number of output channels.
    dilation: largest dilation of the layer's convolutions.
    num_parameters: number of parameters.
    multiply_adds: number of multiply-adds of the layer's convolutions for one
      image. Multiply-adds with zeros of the padding are also counted.
    frozen_multiply_adds: number of these multiply-adds that belong to frozen
      parts of the backbone (`model.frozen_parts`).
  """

  name: str
  operation: str
  resolution: tuple[int, int] = (0, 0)
  width: int = 0
  dilation: int = 1
  num_parameters: int = 0
  multiply_adds: int = 0
  frozen_multiply_adds: int = 0


def layer_table(model: pic.PIC, image_size: int) -> list[Layer]:
  """Lists the layers of a model in the order of execution (paper Table 1).

  Args:
    model: the network.
    image_size: side of the square images in pixels.
  """
  table: dict[tuple[str, ...], Layer] = {}
  seen = set()

  # `nn.intercept_methods` calls this with (next_fn, args, kwargs, context) for
  # every method of every module.
  def record(next_fn: Any, *call: Any) -> Any:
    args, kwargs, context = call
    output = next_fn(*args, **kwargs)
    module = context.module
    is_call = context.method_name == '__call__'
    conv_types = (layers.WeightNormConv, efficientnet_lite0.Layer)
    is_conv = is_call and isinstance(module, conv_types)
    # `__call__` of a causal convolution calls `__call__` of its superclass, so
    # the same module comes here twice.
    if is_conv and module.path not in seen:
      seen.add(module.path)
      num_inputs = sum(x.shape[-1] for x in args)
      _add_to_table(table, module, num_inputs, shape=output.shape)
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


def _add_to_table(
  table: dict[tuple[str, ...], Layer],
  module: layers.WeightNormConv | efficientnet_lite0.Layer,
  num_inputs: int,
  *,
  shape: tuple[int, ...],
) -> None:
  """Adds a convolution to its row of the table.

  All convolutions of a residual block share a row, and all convolutions of the
  backbone share a row.

  Args:
    table: rows, keyed by the path of the module.
    module: the convolution.
    num_inputs: number of input channels of the convolution.
    shape: shape [B, h, w, C] of the convolution's output.
  """
  path, width = module.path, module.features
  if isinstance(module, efficientnet_lite0.Layer):
    path, name, operation, dilation = path[:-1], path[-2], 'backbone', 1
    num_weights = module.kernel_size**2 * width
    num_weights *= 1 if module.is_depthwise else num_inputs
    # The kernel of the stem has three input channels, but the input is grey.
    num_parameters = (3 if module.is_grey else 1) * num_weights + width
    is_frozen = module.is_frozen
  else:
    rows, columns = module.kernel_size
    operation = f'{rows}x{columns} conv'
    if module.stride > 1:
      operation += f' / {module.stride}'
    num_weights = rows * columns * num_inputs * width
    num_parameters = num_weights + 2 * width  # with gains and biases
    dilation, is_frozen = module.dilation, False
    block = module.parent
    if isinstance(block, layers.GatedBlock):
      path, width = block.path, block.features
      operation = 'gated block' if block.gated else 'block'
    name = '/'.join(path)
  layer = table.setdefault(path, Layer(name, operation))
  is_new = layer.width == 0
  # The backbone's row gets the output size of its last convolution. Other rows
  # get that of their first convolution.
  if is_new or operation == 'backbone':
    layer.resolution, layer.width = (shape[1], shape[2]), width
  layer.dilation = max(layer.dilation, dilation)
  layer.num_parameters += num_parameters
  multiply_adds = num_weights * shape[1] * shape[2]
  layer.multiply_adds += multiply_adds
  if is_frozen:
    layer.frozen_multiply_adds += multiply_adds


def _flops(table: list[Layer], frozen: tuple[str, ...]) -> int:
  """Counts the FLOPs of training on one image.

  Args:
    table: layers of the model.
    frozen: names of the networks that do not learn (`training.frozen`).
  """
  total = 0
  for layer in table:
    network = layer.name.partition('/')[0]
    if layer.operation == 'backbone':
      network = 'embedding'  # The backbone belongs to this network.
    is_frozen = network in frozen
    total += FORWARD_FLOPS * layer.multiply_adds
    if not is_frozen:
      trained = layer.multiply_adds - layer.frozen_multiply_adds
      total += BACKWARD_FLOPS * trained
  return total


def run(
  config: ml_collections.ConfigDict, num_images: int | None, workdir: str | None
) -> dict[str, Any]:
  """Computes the report of a config, a JSON value that `to_text` formats.

  Args:
    config: config that `config_check.check` accepted.
    num_images: number of images of the training split; None if unknown.
    workdir: path of the run's folder, whose free disk space is reported; None
      for the current folder.
  """
  model = run_config.build_model(config)
  table = layer_table(model, config.data.image_size)
  # Not the sum over the table, which lacks the kernel that reads hints and the
  # scalars of the attention.
  shapes = parameters.shapes(model, config.data.image_size)
  num_parameters = sum(x.size for x in jax.tree.leaves(shapes))
  multiply_adds = sum(layer.multiply_adds for layer in table)
  folder = pathlib.Path(workdir or '.').absolute()
  while not folder.exists():  # the workdir may not exist yet
    folder = folder.parent
  training = config.training
  return {
    'layers': [
      {
        name: value
        for name, value in dataclasses.asdict(layer).items()
        if name != 'frozen_multiply_adds'
      }
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
    'checkpoint_bytes': 4 * VALUES_PER_PARAMETER * num_parameters,
    'num_checkpoints': training.num_checkpoints,
    'free_bytes': shutil.disk_usage(folder).free,
  }


def to_text(report: dict[str, Any]) -> str:
  """Formats the report of `run` as lines."""
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
  num_images = report['num_images']
  count = 'an unknown number of' if num_images is None else f'{num_images:,}'
  num_bytes, num_kept = report['checkpoint_bytes'], report['num_checkpoints']
  epochs = ''
  if num_images:
    num_trained = report['num_steps'] * report['batch_size']
    epochs = f', {num_trained / num_images:.1f} epochs'
  lines += [
    f'{report["num_parameters"]:,} parameters, '
    f'{report["multiply_adds_per_image"] / 1e9:.3f} x 10^9 multiply-adds per '
    'image',
    f'data: {report["data"]} {report["split"]}, {count} images of '
    f'{report["image_size"]} x {report["image_size"]}',
    f'devices: {report["num_devices"]} x {report["device"]} in '
    f'{report["num_processes"]} process(es), '
    f'{report["batch_size_per_device"]:g} images each, '
    f'{report["batch_size"]} per step',
    f'training: {report["num_steps"]:,} steps{epochs}, '
    f'{report["flops_per_step"]:.3g} FLOP per step',
    f'checkpoints: {num_kept} x {num_bytes / 1e6:,.1f} MB, '
    f'{report["free_bytes"] / 1e6:,.0f} MB free',
  ]
  # One more than `num_kept`, because an old checkpoint is deleted only after a
  # new one is written.
  if (num_kept + 1) * num_bytes > report['free_bytes']:
    lines.append('WARNING: the disk has no room for all checkpoints.')
  return '\n'.join(lines)
