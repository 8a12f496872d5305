"""EfficientNet-Lite0 without its classifier, in inference form.

This is the network of Tan & Le 2019 in the variant for small devices. It has no
squeeze-and-excitation, its non-linearity is ReLU6, and its stem and head have
the same width at every network size. Batch norm is folded into kernels and
biases, so a layer consists of a convolution, a bias and ReLU6. Projections have
no ReLU6. Every convolution is padded like TensorFlow's 'SAME'.
"""

import functools
import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.model import layers

# Each row: number of blocks, kernel size, stride of the first block, expansion
# factor, output channels.
STAGES = (
  (1, 3, 1, 1, 16),
  (2, 3, 2, 6, 24),
  (2, 5, 2, 6, 40),
  (3, 3, 2, 6, 80),
  (3, 5, 1, 6, 112),
  (4, 5, 2, 6, 192),
  (1, 3, 1, 6, 320),
)
STEM_WIDTH = 32
HEAD_WIDTH = 1280
# Indices of the blocks whose outputs are returned as features. They are the
# last blocks at the total strides 2, 4, 8, 16 and 32.
TAPS = (0, 2, 4, 10, 15)
# Number of parts that can be frozen: 16 blocks and the head. The stem belongs
# to the first block.
NUM_PARTS = 17


class Block(NamedTuple):
  """Sizes of an inverted residual block.

  Attributes:
    width_in, width: numbers of input and output channels.
    kernel_size, stride: side of the kernel and stride of the depthwise
      convolution.
    expansion: factor by which the first layer multiplies the channels.
  """

  width_in: int
  width: int
  kernel_size: int
  stride: int
  expansion: int


def blocks() -> Iterator[Block]:
  """Yields the sizes of all blocks, from the stem to the head."""
  width_in = STEM_WIDTH
  for repeats, kernel_size, stride, expansion, width in STAGES:
    for index in range(repeats):
      block_stride = stride if index == 0 else 1
      yield Block(width_in, width, kernel_size, block_stride, expansion)
      width_in = width


def _padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
  """Returns the numbers of zeros before and after a side of `size` values."""
  total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
  return total // 2, total - total // 2


def _shifts(
  x: jax.Array, kernel_size: int, stride: int
) -> Iterator[tuple[int, int, jax.Array]]:
  """Yields the part of x that each entry of a kernel is multiplied with.

  Args:
    x: [B, H, W, C].
    kernel_size: height and width of the kernel.
    stride: stride in both directions.

  Yields:
    Row i and column j of the entry in the kernel, and the strided part of x
    [B, ceil(H / stride), ceil(W / stride), C].
  """
  height, width = x.shape[1:3]
  row_span = stride * (-(-height // stride) - 1) + 1
  column_span = stride * (-(-width // stride) - 1) + 1
  padding = [_padding(size, kernel_size, stride) for size in (height, width)]
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  for i in range(kernel_size):
    for j in range(kernel_size):
      yield i, j, x[:, i : i + row_span : stride, j : j + column_span : stride]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """Convolves every channel with its own kernel.

  This is computed as a sum of shifted products. On CPU, XLA's grouped
  convolution takes 7 times as long, and 18 times as long with its gradient.

  Args:
    x: [B, H, W, C].
    kernel: [k, k, 1, C].
    stride: stride in both directions, 1 or 2.

  Returns:
    [B, ceil(H / stride), ceil(W / stride), C].
  """
  products = (
    part * kernel[None, None, i, j]
    for i, j, part in _shifts(x, kernel.shape[0], stride)
  )
  return functools.reduce(operator.add, products)


def _depthwise_forward(
  x: jax.Array, kernel: jax.Array, stride: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return depthwise(x, kernel, stride), (x, kernel)


def _depthwise_backward(
  stride: int, saved: tuple[jax.Array, jax.Array], grad: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Computes the gradients of `depthwise`.

  Args:
    stride: stride of the convolution.
    saved: input x and kernel.
    grad: gradient of the output.

  Returns:
    The gradient of x, which is a convolution of `grad` with the flipped kernel;
    and the gradient of the kernel.
  """
  x, kernel = saved
  kernel_size, height, width = kernel.shape[0], *x.shape[1:3]
  # `spread` has the size of x. It contains `grad` with stride - 1 zeros after
  # each value, and is then padded for the flipped kernel.
  spread = jnp.zeros((len(x), height, width, x.shape[-1]), grad.dtype)
  spread = spread.at[:, ::stride, ::stride].set(grad)
  num_before = [
    _padding(size, kernel_size, stride)[0] for size in (height, width)
  ]
  padding = [(kernel_size - 1 - num, num) for num in num_before]
  spread = jnp.pad(spread, ((0, 0), *padding, (0, 0)))
  products = (
    spread[:, i : i + height, j : j + width]
    * kernel[None, None, kernel_size - 1 - i, kernel_size - 1 - j]
    for i in range(kernel_size)
    for j in range(kernel_size)
  )
  grad_x = functools.reduce(operator.add, products)
  grad_kernel = jnp.stack(
    [
      (part * grad).sum((0, 1, 2))
      for _, _, part in _shifts(x, kernel_size, stride)
    ]
  )
  return grad_x, grad_kernel.reshape(kernel.shape)


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def is_frozen(name: str, num_frozen: int) -> bool:
  """Returns whether a layer belongs to the first `num_frozen` parts.

  Args:
    name: 'stem', 'head', or a name such as 'block_07_expand'.
    num_frozen: number of the `NUM_PARTS` parts, counted from the input.
  """
  part = {'stem': 0, 'head': NUM_PARTS - 1}.get(name)
  if part is None:
    part = int(name.split('_')[1])
  return part < num_frozen


class Layer(nn.Module):
  """Convolution and bias, without weight norm or data-dependent initialisation.

  Attributes:
    features: number of output channels.
    kernel_size: height and width of the kernel.
    stride: stride in both directions.
    is_depthwise: whether every channel has its own kernel.
    is_grey: whether a kernel for three colour channels also accepts an input
      with one grey channel, which stands for three equal channels.
    is_frozen: whether the parameters get no gradient.
    dtype: dtype of the computation and the output. The input and the float32
      parameters are cast to it.
  """

  features: int
  kernel_size: int = 1
  stride: int = 1
  is_depthwise: bool = False
  is_grey: bool = False
  is_frozen: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves x.

    Args:
      x: [B, H, W, C].

    Returns:
      [B, ceil(H / stride), ceil(W / stride), features].
    """
    width_in = 1 if self.is_depthwise else 3 if self.is_grey else x.shape[-1]
    shape = (self.kernel_size, self.kernel_size, width_in, self.features)
    he_normal, zeros = nn.initializers.he_normal(), nn.initializers.zeros
    kernel = layers.parameter(self, 'kernel', he_normal, shape=shape)
    bias = layers.parameter(self, 'bias', zeros, shape=(self.features,))
    if self.is_frozen:
      kernel, bias = jax.lax.stop_gradient((kernel, bias))
    if self.is_grey and x.shape[-1] == 1:
      kernel = kernel.sum(2, keepdims=True)
    x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
    y: jax.Array
    if self.is_depthwise:
      y = depthwise(x, kernel, self.stride)
    else:
      y = layers.convolve(x, kernel, 'SAME', stride=self.stride)
    return y + layers.channels_last(bias.astype(self.dtype))


class EfficientNetLite0(nn.Module):
  """Network that returns the features of a picture at several scales.

  Attributes:
    num_frozen: number of the `NUM_PARTS` parts that are not trained, counted
      from the input.
    dtype: dtype of the activations.
  """

  num_frozen: int = NUM_PARTS
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, luminance: jax.Array) -> list[jax.Array]:
    """Computes the feature maps.

    Args:
      luminance: [B, H, W, 1] in network units, or [B, H, W, 3] RGB on the same
        scale from -1 to 1.

    Returns:
      Six feature maps [B, h_i, w_i, C_i] from fine to coarse, at the strides 2,
      4, 8, 16, 32 and 32. The last one is the output of the head.
    """

    def layer(name: str, features: int, **kwargs: Any) -> Layer:
      frozen = is_frozen(name, self.num_frozen)
      kwargs |= {'is_frozen': frozen, 'dtype': self.dtype, 'name': name}
      return Layer(features, **kwargs)

    # The network was trained on (g - 127) / 128, where
    # g = 127.5 (luminance + 1) is the grey value 0..255.
    x = (127.5 * luminance + 0.5) / 128.0
    stem = layer('stem', STEM_WIDTH, kernel_size=3, stride=2, is_grey=True)
    x = nn.relu6(stem(x))
    features = []
    for index, block in enumerate(blocks()):
      block_input, name = x, f'block_{index:02d}'
      expanded_width = block.width_in * block.expansion
      if block.expansion > 1:
        x = nn.relu6(layer(f'{name}_expand', expanded_width)(x))
      depthwise_layer = layer(
        f'{name}_depthwise',
        expanded_width,
        kernel_size=block.kernel_size,
        stride=block.stride,
        is_depthwise=True,
      )
      y = nn.relu6(depthwise_layer(x))
      x = layer(f'{name}_project', block.width)(y)
      if block.stride == 1 and block.width_in == block.width:
        x = x + block_input
      if index in TAPS:
        features.append(x)
    return [*features, nn.relu6(layer('head', HEAD_WIDTH)(x))]
