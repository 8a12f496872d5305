"""Weight-normalised convolution and gated residual block (paper sec. 3.3).

The parametrisation follows Salimans & Kingma 2016. The block, and the shifts
of the decoder's two streams, follow Salimans et al. 2017.
"""

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.model import winograd

# Initial standard deviation of the directions V, from the published code of
# Salimans et al. 2017.
DIRECTION_STDDEV = 0.05
# Added to the variance of a channel, which may be 0, to avoid a division by 0.
VARIANCE_EPSILON = 1e-10
# 'SAME', 'VALID', or the pairs (low, high) for height and width.
Padding = str | Sequence[tuple[int, int]]


def concat_elu(x: jax.Array) -> jax.Array:
  """Concatenates ELU(x) and ELU(-x): [..., C] -> [..., 2 C]."""
  # Both halves share one exponential, so this takes a third of the time of two
  # ELUs. The argument of the exponential is not written as -|x|, because the
  # gradient of |x| at 0 is 0, and that of ELU is 1.
  is_positive = x > 0
  y = jnp.exp(jnp.where(is_positive, -x, x)) - 1.0  # ELU(-|x|)
  halves = jnp.where(is_positive, x, y), jnp.where(is_positive, y, -x)
  return jnp.concatenate(halves, -1)


def append_ones(x: jax.Array) -> jax.Array:
  """Appends a channel of ones: [..., C] -> [..., C + 1].

  After padding with zeros, this channel marks the pixels inside the map.
  """
  return jnp.concatenate([x, jnp.ones_like(x[..., :1])], -1)


def shift_down(x: jax.Array) -> jax.Array:
  """Moves [B, h, w, C] one row down; the first row becomes exactly 0."""
  return jnp.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]


def shift_right(x: jax.Array) -> jax.Array:
  """Moves [B, h, w, C] one column right; the first column becomes exactly 0."""
  return jnp.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]


def channels_last(x: jax.Array) -> jax.Array:
  """Reshapes [C] to [1, 1, 1, C]."""
  return x.reshape(1, 1, 1, -1)


def convolve(
  x: jax.Array,
  kernel: jax.Array,
  padding: Padding = 'VALID',
  *,
  stride: int = 1,
  dilation: int = 1,
) -> jax.Array:
  """Convolves [B, H, W, C] with a kernel [kh, kw, C, F].

  Arrays in float32 are convolved in full precision on every device.
  """
  # The default precision is bfloat16 on TPU and TF32 on GPU.
  precision = 'highest' if x.dtype == jnp.float32 else None
  if kernel.shape[:2] == (1, 1) and stride == 1:
    # On CPU, the gradient of a 1x1 convolution takes 2.4 times as long as the
    # gradient of the equivalent matrix product.
    return jnp.dot(x, kernel[0, 0], precision=precision)
  if winograd.should_use(x, kernel, padding, stride=stride, dilation=dilation):
    sides = winograd.explicit_sides(padding, dilation)
    return winograd.convolve(x, kernel, sides)
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    padding,
    rhs_dilation=(dilation, dilation),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision=precision,
  )


def parameter(
  module: nn.Module,
  name: str,
  init_fn: Callable[..., jax.Array],
  *,
  shape: tuple[int, ...],
) -> jax.Array:
  """Returns a parameter as `Module.param` does, but does not check its shape.

  Flax's check traces `init_fn` for every parameter whenever the model is
  applied, which adds a second to each start. The check is not needed, because
  the shapes of parameters are compared with the model's when they are loaded.
  """
  if module.has_variable('params', name):
    return module.get_variable('params', name)
  return module.param(name, init_fn, shape)


def _normalize(V: jax.Array) -> jax.Array:
  """Scales V to unit norm over height, width and input channels."""
  return V * jax.lax.rsqrt(jnp.sum(jnp.square(V), (0, 1, 2), keepdims=True))


class WeightNormConv(nn.Module):
  """Convolution with kernel g V / ||V|| and bias b (Salimans & Kingma 2016).

  If the collection `params` is mutable, g and b are initialised from data
  (ibid., sec. 3). The input is convolved with V / ||V||, and g and b are set so
  that every output channel has mean `init_mean` and standard deviation
  `init_scale` over this batch. *Differs from* the code of Royer et al. 2017,
  which lacks this step although the paper has it.

  Attributes:
    features: number of output channels.
    kernel_size: height and width of the kernel.
    stride: stride in both directions.
    dilation: dilation of the kernel in both directions.
    padding: see `Padding`.
    init_scale, init_mean: standard deviation and mean of the output at
      initialisation; one number, or a number for each output channel.
    dtype: dtype of the input, the kernel and the output. Parameters are
      float32.
  """

  features: int
  kernel_size: tuple[int, int] = (1, 1)
  stride: int = 1
  dilation: int = 1
  padding: Padding = 'SAME'
  init_scale: float | tuple[float, ...] = 1.0
  init_mean: float | tuple[float, ...] = 0.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, *maps: jax.Array, padding: Padding | None = None
  ) -> jax.Array:
    """Convolves one or several maps, as if they were concatenated.

    Args:
      *maps: [B, H, W, C_i] each, in the order of concatenation.
      padding: padding to use instead of the attribute, or None.

    Returns:
      [B, H', W', features].
    """
    inputs = [x.astype(self.dtype) for x in maps]
    # Number of channels up to the end of each map; the last one is the total.
    *splits, channels = itertools.accumulate(x.shape[-1] for x in inputs)

    def convolve_fn(kernel: jax.Array) -> jax.Array:
      # Each map is convolved with its own part of the kernel, because
      # concatenating the maps would copy them.
      parts = jnp.split(kernel, splits, 2)
      outputs = (
        convolve(
          x,
          part,
          padding or self.padding,
          stride=self.stride,
          dilation=self.dilation,
        )
        for x, part in zip(inputs, parts, strict=True)
      )
      return functools.reduce(operator.add, outputs)

    if self.has_variable('constants', 'kernel'):
      kernel = self.get_variable('constants', 'kernel')
      b = self.get_variable('constants', 'b')
    else:
      shape = (*self.kernel_size, channels, self.features)
      normal = nn.initializers.normal(DIRECTION_STDDEV)
      V = parameter(self, 'V', normal, shape=shape)
      g = parameter(self, 'g', nn.initializers.ones, shape=(self.features,))
      b = parameter(self, 'b', nn.initializers.zeros, shape=(self.features,))
      if self.is_mutable_collection('params'):
        y = convolve_fn(_normalize(V).astype(self.dtype))
        g, b = self._initialize_from_data(y.astype(jnp.float32))
      kernel = (channels_last(g) * _normalize(V)).astype(self.dtype)
      b = b.astype(self.dtype)
    return convolve_fn(kernel) + channels_last(b)

  def _initialize_from_data(self, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sets g and b so that the output has `init_mean` and `init_scale`.

    Args:
      y: [B, H', W', features] input convolved with V / ||V||.

    Returns:
      g and b, [features] each.
    """
    deviation = jnp.sqrt(y.var((0, 1, 2)) + VARIANCE_EPSILON)
    g = jnp.asarray(self.init_scale, jnp.float32) / deviation
    b = jnp.asarray(self.init_mean, jnp.float32) - g * y.mean((0, 1, 2))
    self.put_variable('params', 'g', g)
    self.put_variable('params', 'b', b)
    return g, b

  def fold(self) -> jax.Array:
    """Stores the kernel g V / ||V|| and the bias in the collection `constants`.

    A loop that applies the layer many times then reuses the stored values.

    Returns:
      The kernel [kh, kw, C, features].
    """
    g, V = self.get_variable('params', 'g'), self.get_variable('params', 'V')
    kernel = (channels_last(g) * _normalize(V)).astype(self.dtype)
    b = self.get_variable('params', 'b').astype(self.dtype)
    self.put_variable('constants', 'kernel', kernel)
    self.put_variable('constants', 'b', b)
    return kernel


class GatedBlock(nn.Module):
  """Residual block of paper sec. 3.3, or of sec. 4.4 if not gated.

  The residual branch consists of concat-ELU, a convolution, the addition of the
  conditioning, concat-ELU, dropout and a second convolution. If gated, the
  second convolution gives two halves y and z, and the block returns
  x + y * sigmoid(z). Otherwise it gives y, and the block returns x + y.

  Attributes:
    features: number of channels of the input and of the output.
    conv: function that builds a convolution (3x3 in the paper) from a number of
      features and optional keywords `dilation` and `init_scale`. Its default
      dilation applies only to the first convolution.
    conditional: whether the block has a conditioning, which is a 1x1
      convolution of the concat-ELU of other maps.
    gated: whether the block is gated.
    dropout_rate: rate of the dropout between the convolutions.
    dtype: dtype of the convolutions; x and the output are float32.
  """

  features: int
  conv: Callable[..., nn.Module]
  conditional: bool = False
  gated: bool = True
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32

  def setup(self) -> None:
    self.first = self.conv(self.features)
    width = 2 * self.features if self.gated else self.features
    # Salimans et al. 2017: with `init_scale`, a block starts close to the
    # identity.
    self.second = self.conv(width, dilation=1, init_scale=0.1)
    self.dropout = nn.Dropout(self.dropout_rate)
    if self.conditional:
      self.conditioning = WeightNormConv(self.features, dtype=self.dtype)

  def __call__(
    self,
    x: jax.Array,
    conditioning: jax.Array | None = None,
    train: bool = False,
    *,
    col: jax.Array | None = None,
  ) -> jax.Array:
    """Applies the block.

    Args:
      x: [B, h, w, features] whole maps or rows; or [B, 1, 1, features] one
        pixel, if `col` is given.
      conditioning: output of `condition`, in the shape of `x`, or None.
      train: whether to apply dropout.
      col: column of the pixel, or None for whole maps or rows.

    Returns:
      Array in the shape of `x`.
    """

    def apply(conv: nn.Module, x: jax.Array) -> jax.Array:
      return conv(x) if col is None else conv.pixel(x, col)

    y = apply(self.first, concat_elu(x))
    if conditioning is not None:
      y = y + conditioning
    y = self._drop(concat_elu(y), train)
    y = apply(self.second, y)
    if self.gated:
      y, gate = jnp.split(y, 2, -1)
      y = y * nn.sigmoid(gate)
    return x + y

  def _drop(self, y: jax.Array, train: bool) -> jax.Array:
    """Applies dropout to y [B, h, w, C] if `train`."""
    # For a flat array, dropout draws the same mask and compiles in half the
    # time.
    flat = self.dropout(y.ravel(), deterministic=not train)
    return flat.reshape(y.shape)

  def condition(self, *maps: jax.Array) -> jax.Array:
    """Projects maps [B, h, w, C_i] to the conditioning [B, h, w, features]."""
    return self.conditioning(*map(concat_elu, maps))

  def condition_part(
    self, x: jax.Array, first_channel: int, with_bias: bool
  ) -> jax.Array:
    """Computes the contribution of one map to `condition`, after `start`.

    The contributions of all maps add up to what `condition` returns for them.

    Args:
      x: [B, h, w, C] the map.
      first_channel: total number of channels of the maps before this one.
      with_bias: whether to add the bias. It must be added for exactly one map.
    """
    kernel = self.conditioning.get_variable('constants', 'kernel')
    begin = 2 * first_channel  # `concat_elu` doubles the channels.
    part = kernel[:, :, begin : begin + 2 * x.shape[-1]]
    y = convolve(concat_elu(x).astype(self.dtype), part)
    if with_bias:
      b = self.conditioning.get_variable('constants', 'b')
      y = y + channels_last(b)
    return y

  def start(self, num_canvases: int, width: int, by_pixel: bool) -> None:
    """Prepares sampling, see `causal_conv.CausalConv.start`."""
    self.first.start(num_canvases, width, by_pixel)
    self.second.start(num_canvases, width, by_pixel)
    if self.conditional:
      self.conditioning.fold()

  def start_row(self) -> None:
    """Begins a row, see `causal_conv.CausalConv.start_row`."""
    self.first.start_row()
    self.second.start_row()
