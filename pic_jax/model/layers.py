"""Weight-normalised convolution and gated residual block (paper sec. 3.3).

Salimans & Kingma 2016 for the parametrisation, Salimans et al. 2017 for the
block and the shifts of its streams.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.model import winograd

# Salimans et al. 2017, published code: deviation of the drawn directions.
DIRECTION_STDDEV = 0.05
# Added to a variance, so that a constant channel does not divide by zero.
VARIANCE_EPSILON = 1e-10
# 'SAME', 'VALID', or (low, high) of height and of width.
Padding = str | Sequence[tuple[int, int]]


def concat_elu(x: jax.Array) -> jax.Array:
  """ELU of x and of -x, one after the other: [..., C] -> [..., 2 C]."""
  # One exponential serves both halves: a third of the time of two ELUs. Not
  # of -|x|, whose gradient at 0 is 0.
  positive = x > 0
  negative = jnp.exp(jnp.where(positive, -x, x)) - 1.0
  halves = jnp.where(positive, x, negative), jnp.where(positive, negative, -x)
  return jnp.concatenate(halves, -1)


def append_ones(x: jax.Array) -> jax.Array:
  """Appends a channel of ones, which shows the network where the map ends."""
  return jnp.concatenate([x, jnp.ones_like(x[..., :1])], -1)


def shift_down(x: jax.Array) -> jax.Array:
  """Moves [B, h, w, C] one row down; the first row becomes exactly 0."""
  return jnp.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]


def shift_right(x: jax.Array) -> jax.Array:
  """Moves [B, h, w, C] one column right; the first one becomes exactly 0."""
  return jnp.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]


def channels_last(x: jax.Array) -> jax.Array:
  """[C] -> [1, 1, 1, C]."""
  return x.reshape(1, 1, 1, -1)


def convolve(
  x: jax.Array,
  kernel: jax.Array,
  padding: Padding = 'VALID',
  *,
  stride: int = 1,
  dilation: int = 1,
) -> jax.Array:
  """Convolves [B, H, W, C] with [kh, kw, C, F]; float32 in full precision."""
  # The default precision is bfloat16 on TPU and TF32 on GPU.
  precision = 'highest' if x.dtype == jnp.float32 else None
  if kernel.shape[:2] == (1, 1) and stride == 1:
    # XLA's gradient of a 1x1 convolution takes 2.4 times as long on CPU.
    return jnp.dot(x, kernel[0, 0], precision=precision)
  if winograd.pays(x, kernel, padding, stride=stride, dilation=dilation):
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
  """`Module.param` without its check of the shape of what is there.

  That check traces `init_fn` for each parameter of each application: a second
  of every start. What is loaded was compared with the model before.
  """
  if module.has_variable('params', name):
    return module.get_variable('params', name)
  return module.param(name, init_fn, shape)


def _normalize(V: jax.Array) -> jax.Array:
  """Directions of unit norm over height, width and input channels."""
  return V * jax.lax.rsqrt(jnp.sum(jnp.square(V), (0, 1, 2), keepdims=True))


class WeightNormConv(nn.Module):
  """Convolution with kernel g V / ||V|| and bias b (Salimans & Kingma 2016).

  Where `params` is mutable, g and b are set from what comes out of the
  directions V alone, so that every channel leaves with mean `init_mean` and
  standard deviation `init_scale` over this batch (data-dependent
  initialisation, ibid., sec. 3). *Differs from* the authors' code, which lost
  this step; the paper has it.

  Attributes:
    features: number of output channels.
    kernel_size: height and width.
    padding: see `Padding`.
    init_scale, init_mean: one number, or one for each channel.
    dtype: of the input, the kernel and the output; parameters are float32.
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
    """Convolves maps to [B, H', W', features].

    Args:
      *maps: [B, H, W, C_i], whose channels follow one another.
      padding: in place of the attribute.
    """
    maps = [x.astype(self.dtype) for x in maps]
    *inner, width = itertools.accumulate(x.shape[-1] for x in maps)

    def convolve_fn(kernel: jax.Array) -> jax.Array:
      # Each by its own part: concatenating them would copy them.
      parts = jnp.split(kernel, inner, 2)
      return sum(
        convolve(
          x,
          part,
          padding or self.padding,
          stride=self.stride,
          dilation=self.dilation,
        )
        for x, part in zip(maps, parts, strict=True)
      )

    if self.has_variable('constants', 'kernel'):
      kernel = self.get_variable('constants', 'kernel')
      b = self.get_variable('constants', 'b')
    else:
      shape = (*self.kernel_size, width, self.features)
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
    """Sets and returns g and b [features] by what the directions give, y."""
    deviation = jnp.sqrt(y.var((0, 1, 2)) + VARIANCE_EPSILON)
    g = jnp.asarray(self.init_scale, jnp.float32) / deviation
    b = jnp.asarray(self.init_mean, jnp.float32) - g * y.mean((0, 1, 2))
    self.put_variable('params', 'g', g)
    self.put_variable('params', 'b', b)
    return g, b

  def fold(self) -> jax.Array:
    """Stores kernel and bias as constants, so that a loop does not redo them.

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
  """Residual block of paper sec. 3.3 (`gated=False`: sec. 4.4).

  concat-ELU, 3x3 convolution, + projected conditioning, concat-ELU, dropout,
  3x3 convolution to (a, b), x + a * sigmoid(b); ungated: x + it.

  Attributes:
    features: channels in and out.
    conv: makes a 3x3 convolution from features and init_scale.
    conditional: whether the output of the first convolution is biased by a
      1x1 convolution of the concat-ELU of other maps.
    dtype: of the convolutions; x, and so the sum, stays float32.
  """

  features: int
  conv: Callable[..., nn.Module]
  conditional: bool = False
  gated: bool = True
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32

  def setup(self) -> None:
    self.first = self.conv(self.features)
    # Salimans et al. 2017: a block starts close to the identity.
    width = 2 * self.features if self.gated else self.features
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
    """Maps [B, h, w, features] to the same shape.

    Args:
      x: whole maps or rows, or one pixel if `col` is given.
      conditioning: projected, see `condition`; same shape as `x`.
      train: whether to apply dropout.
      col: column of the pixel.
    """

    def apply(conv: nn.Module, x: jax.Array) -> jax.Array:
      return conv(x) if col is None else conv.pixel(x, col)

    y = apply(self.first, concat_elu(x))
    if conditioning is not None:
      y = y + conditioning
    y = self.dropout(concat_elu(y), deterministic=not train)
    y = apply(self.second, y)
    if self.gated:
      y, gate = jnp.split(y, 2, -1)
      y = y * nn.sigmoid(gate)
    return x + y

  def condition(self, *maps: jax.Array) -> jax.Array:
    """Projects maps [B, h, w, C_i] to [B, h, w, features]."""
    return self.conditioning(*map(concat_elu, maps))

  def condition_part(
    self, x: jax.Array, first_channel: int, with_bias: bool
  ) -> jax.Array:
    """One map's share of `condition`; the shares of all maps add up to it.

    Args:
      x: [B, h, w, C].
      first_channel: sum of the channels of the maps before this one.
      with_bias: for exactly one of the maps.
    """
    kernel = self.conditioning.get_variable('constants', 'kernel')
    begin = 2 * first_channel
    part = kernel[:, :, begin : begin + 2 * x.shape[-1]]
    y = convolve(concat_elu(x).astype(self.dtype), part)
    if with_bias:
      b = self.conditioning.get_variable('constants', 'b')
      y = y + channels_last(b)
    return y

  def start(self, num_canvases: int, width: int, by_pixel: bool) -> None:
    """Folds the weights, empties the caches: `causal.CausalConv.start`."""
    self.first.start(num_canvases, width, by_pixel)
    self.second.start(num_canvases, width, by_pixel)
    if self.conditional:
      self.conditioning.fold()

  def start_row(self) -> None:
    self.first.start_row()
    self.second.start_row()
