"""Faster 3x3 convolutions on CPU (Winograd 1980; Lavin & Gray 2016).

The algorithm is F(4, 3), applied to the rows only. It computes a tile of four
output rows from a window of six input rows. The output rows are weighted sums
of the same six products, and each product is a 1x3 convolution. Direct
computation of the tile takes twelve 1x3 convolutions, so half of the
multiplications are saved.

Algorithms for both rows and columns are not used. F(2x2, 3x3) makes maps four
times as large before its products, and F(4x4, 3x3) is ten times less accurate.
"""

import contextlib
import contextvars
import functools
import operator
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Number of output rows in a tile, and of input rows in a window.
TILE, WINDOW = 4, 6
# INPUT and KERNEL map the rows of a window and of the kernel to the factors of
# each product. OUTPUT maps the products to the rows of a tile. The matrices
# interpolate polynomials at the points 0, 1, -1, 1/2, -2 and infinity. With the
# point 2 in place of 1/2, errors are 1.5 times as large (Barabasz et al. 2020).
INPUT = np.array([  # product, row of the window
  [1, -3 / 2, -2, 3 / 2, 1, 0],
  [0, -1, 1 / 2, 5 / 2, 1, 0],
  [0, 1, -5 / 2, 1 / 2, 1, 0],
  [0, -2, -1, 2, 1, 0],
  [0, 1 / 2, -1, -1 / 2, 1, 0],
  [0, 1, -3 / 2, -2, 3 / 2, 1],
], np.float32)  # fmt: skip
KERNEL = np.array([  # product, row of the kernel
  [1, 0, 0],
  [1 / 3, 1 / 3, 1 / 3],
  [-1 / 3, 1 / 3, -1 / 3],
  [-16 / 15, -8 / 15, -4 / 15],
  [1 / 15, -2 / 15, 4 / 15],
  [0, 0, 1],
], np.float32)  # fmt: skip
OUTPUT = np.array([  # row of the tile, product
  [1, 1, 1, 1, 1, 0],
  [0, 1, -1, 1 / 2, -2, 0],
  [0, 1, 1, 1 / 4, 4, 0],
  [0, 1, -1, 1 / 8, -8, 1],
], np.float32)  # fmt: skip

# Smaller convolutions are not faster with this algorithm. The limits were
# measured with gradients on one AVX-512 core, for maps of 16 x 16. In a batch
# of 16 maps, 96 -> 48 channels take 0.8 of the time of direct convolution, and
# 64 -> 32 channels take the same time. With a single map, the transform of the
# kernel costs as much as the products save.
MIN_CHANNELS = 96 * 48  # input channels times output channels
MIN_POSITIONS = 2048  # output positions in all maps of a batch

_allowed = contextvars.ContextVar('winograd_allowed', default=False)

Pair = tuple[int, int]


class Sides(NamedTuple):
  """Padding of an input, and dilation of the kernel.

  Attributes:
    rows: numbers of zero rows above and below the input.
    columns: numbers of zero columns to its left and right.
    dilation: dilation of the kernel in both directions.
  """

  rows: Pair
  columns: Pair
  dilation: int = 1


@contextlib.contextmanager
def allowed() -> Iterator[None]:
  """Allows `layers.convolve` to use this algorithm where it is faster.

  The context must be entered inside the function that is compiled, because it
  acts while JAX traces the function.

  Training and evaluation enter it. Sampling does not, because its results for
  pixels and for whole maps must agree up to the last bits, and this algorithm
  differs from direct convolution by 1e-6.
  """
  token = _allowed.set(True)
  try:
    yield
  finally:
    _allowed.reset(token)


def should_use(
  x: jax.Array,
  kernel: jax.Array,
  padding: str | Sequence[Pair],
  *,
  stride: int,
  dilation: int,
) -> bool:
  """Whether this algorithm is allowed here and faster than direct convolution.

  Args:
    x, kernel, padding, stride, dilation: arguments of `layers.convolve`.
  """
  *kernel_size, channels, features = kernel.shape
  if (
    not _allowed.get()
    or jax.default_backend() != 'cpu'
    or x.dtype != jnp.float32
    or kernel_size != [3, 3]
    or stride != 1
    or channels * features < MIN_CHANNELS
  ):
    return False
  rows, columns, _ = explicit_sides(padding, dilation)
  if max(*rows, *columns) > 2 * dilation:
    return False
  height = x.shape[1] + sum(rows) - 2 * dilation
  width = x.shape[2] + sum(columns) - 2 * dilation
  # Number of 1x3 convolutions, divided by that of direct convolution. The ratio
  # is above 1/2 if the last tile is only partly filled.
  cost = WINDOW * dilation * _num_tiles(height, dilation) / (3 * height)
  return x.shape[0] * height * width >= MIN_POSITIONS and cost <= 2 / 3


def explicit_sides(padding: str | Sequence[Pair], dilation: int) -> Sides:
  """Converts the padding of a 3x3 convolution to numbers of zeros."""
  if isinstance(padding, str):
    each = {'SAME': dilation, 'VALID': 0}[padding]
    return Sides((each, each), (each, each), dilation)
  (above, below), (left, right) = padding
  return Sides((above, below), (left, right), dilation)


def _num_tiles(height: int, dilation: int) -> int:
  """Returns the number of tiles that cover the output rows of a phase.

  With a dilation d, rows whose index has the same remainder modulo d form a
  phase. A phase is convolved without dilation.
  """
  return -(-height // (TILE * dilation))


def _combine(
  factors: np.ndarray | jax.Array, maps: Sequence[jax.Array] | jax.Array
) -> jax.Array:
  """Adds up maps, each multiplied by its factor.

  Args:
    factors: numpy array, whose zeros are skipped, or traced array.
    maps: one array for each factor, in a sequence or along the first axis of an
      array.
  """
  if isinstance(factors, np.ndarray):
    pairs = [(f, x) for f, x in zip(factors, maps, strict=True) if f]
    products = [x if f == 1.0 else f * x for f, x in pairs]
  else:
    products = [factors[i] * x for i, x in enumerate(maps)]
  return functools.reduce(operator.add, products)


def _convolve_1x3(
  x: jax.Array, kernel: jax.Array, padding: Pair, *, dilation: int
) -> jax.Array:
  """Convolves each row of [B, R, W, C] with a kernel [3, C, F]."""
  return jax.lax.conv_general_dilated(
    x,
    kernel[None],
    (1, 1),
    ((0, 0), padding),
    rhs_dilation=(1, dilation),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision='highest',
  )


def _pad(x: jax.Array, sides: Sides, num_tiles: int) -> jax.Array:
  """Pads [B, H, W, C] and splits its rows into tiles and phases.

  Returns:
    [B, tiles + 1, TILE, dilation, W', C]. The window of a tile extends into the
    next tile, so there is one more tile than in the output.
  """
  (above, _), columns, dilation = sides
  below = TILE * dilation * (num_tiles + 1) - x.shape[1] - above
  x = jnp.pad(x, ((0, 0), (above, below), columns, (0, 0)))
  shape = (len(x), num_tiles + 1, TILE, dilation, *x.shape[2:])
  return x.reshape(shape)


def _windows(x: jax.Array) -> list[jax.Array]:
  """Returns the rows of all windows.

  Args:
    x: [B, tiles + 1, TILE, dilation, W', C], the result of `_pad`.

  Returns:
    `WINDOW` arrays [B, tiles dilation, W', C]. Array i holds row i of every
    window.
  """
  rows = [x[:, :-1, i] for i in range(TILE)]
  rows += [x[:, 1:, i] for i in range(WINDOW - TILE)]
  return [_merge(row) for row in rows]


def _merge(x: jax.Array) -> jax.Array:
  """Reshapes [B, tiles, dilation, W, C] to [B, tiles dilation, W, C]."""
  return x.reshape(len(x), -1, *x.shape[3:])


def _tile_rows(
  matrix: np.ndarray, maps: Sequence[jax.Array] | jax.Array, num_tiles: int
) -> jax.Array:
  """Computes the rows of all tiles, which are weighted sums of maps.

  Args:
    matrix: [TILE, WINDOW] weight of each map in each row.
    maps: `WINDOW` maps [B, tiles dilation, W, C].
    num_tiles: number of tiles in a phase.

  Returns:
    [B, tiles, TILE, dilation, W, C].
  """
  batch, merged, width, channels = maps[0].shape  # merged: tiles dilation
  shape = (batch, num_tiles, 1, merged // num_tiles, width, channels)
  terms = (
    maps[i].reshape(shape) * matrix[:, i].reshape(1, 1, TILE, 1, 1, 1)
    for i in range(WINDOW)
  )
  return functools.reduce(operator.add, terms)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: jax.Array, kernel: jax.Array, sides: Sides) -> jax.Array:
  """Convolves x with a 3x3 kernel in float32.

  Args:
    x: [B, H, W, C].
    kernel: [3, 3, C, F].
    sides: dilation, and padding, which is at most 2 * dilation on each side.

  Returns:
    [B, H', W', F].
  """
  # JAX calls this function only if no gradient is needed. Then there is less to
  # compile, so the six products are compiled separately, with constant factors.
  return _forward(x, kernel, sides, in_loop=False)[0]


def _forward(
  x: jax.Array, kernel: jax.Array, sides: Sides, *, in_loop: bool = True
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  """Computes the convolution.

  Args:
    x, kernel, sides: see `convolve`.
    in_loop: whether the six products are computed in a loop.

  Returns:
    The output, and the pair of padded input and kernel for `_backward`.
  """
  dilation = sides.dilation
  height = x.shape[1] + sum(sides.rows) - 2 * dilation
  num_tiles = _num_tiles(height, dilation)
  padded = _pad(x, sides, num_tiles)
  windows = _windows(padded)

  def product_fn(
    input_factors: np.ndarray | jax.Array,
    kernel_factors: np.ndarray | jax.Array,
  ) -> jax.Array:
    row = _combine(input_factors, windows)
    taps = _combine(kernel_factors, kernel)
    return _convolve_1x3(row, taps, (0, 0), dilation=dilation)

  if in_loop:
    # A loop over the products compiles in two thirds of the time that six
    # separate products take.
    _, products = jax.lax.scan(
      lambda _, factors: (None, product_fn(*factors)), None, (INPUT, KERNEL)
    )
  else:
    products = [product_fn(*pair) for pair in zip(INPUT, KERNEL, strict=True)]
  y = _tile_rows(OUTPUT, products, num_tiles)
  y = y.reshape(len(x), -1, *y.shape[4:])[:, :height]
  return y, (padded, kernel)


def _input_gradient(d_rows: jax.Array, num_tiles: int) -> jax.Array:
  """Computes the gradient of the padded input, a sum over all windows.

  Args:
    d_rows: gradients [WINDOW, B, tiles dilation, W, C] of the input factors of
      the products.
    num_tiles: number of tiles in a phase.

  Returns:
    Gradient [B, tiles + 1, TILE, dilation, W, C] of the padded input.
  """
  # The last rows of a window are also the first rows of the next window.
  overlap = np.pad(INPUT[:, TILE:], ((0, 0), (0, 2 * TILE - WINDOW)))
  own = _tile_rows(INPUT[:, :TILE].T, d_rows, num_tiles)
  next_tile = _tile_rows(overlap.T, d_rows, num_tiles)
  no_pad = ((0, 0),) * 4
  return jnp.pad(own, ((0, 0), (0, 1), *no_pad)) + jnp.pad(
    next_tile, ((0, 0), (1, 0), *no_pad)
  )


def _backward(
  sides: Sides, saved: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Computes the gradients of the input and of the kernel.

  They are sums with the transposed matrices of `_forward`. The gradient that
  JAX derives from the loop takes 18 times as long.

  Args:
    sides: see `convolve`.
    saved: padded input and kernel, as returned by `_forward`.
    dy: [B, H', W', F] gradient of the output.

  Returns:
    Gradients [B, H, W, C] and [3, 3, C, F].
  """
  padded, kernel = saved
  dilation = sides.dilation
  batch, height, width, features = dy.shape
  num_tiles = padded.shape[1] - 1
  channels = kernel.shape[2]
  windows = _windows(padded)
  num_missing = TILE * dilation * num_tiles - height  # rows to fill the tiles
  dy = jnp.pad(dy, ((0, 0), (0, num_missing), (0, 0), (0, 0)))
  dy = dy.reshape(batch, num_tiles, TILE, dilation, width, features)
  tiles = [_merge(dy[:, :, i]) for i in range(TILE)]
  flipped = kernel[:, ::-1].swapaxes(2, 3)
  left, right = (2 * dilation - side for side in sides.columns)

  def gradients_fn(_: None, factors: tuple) -> tuple[None, tuple]:
    input_factors, kernel_factors, output_factors = factors
    row = _combine(input_factors, windows)
    d_product = _combine(output_factors, tiles)
    taps = _combine(kernel_factors, flipped)
    d_row = _convolve_1x3(d_product, taps, (left, right), dilation=dilation)
    d_product = d_product.reshape(-1, features)
    starts = range(0, 3 * dilation, dilation)
    shifted = [row[:, :, i : i + width].reshape(-1, channels) for i in starts]
    d_kernel = jnp.stack(
      [jnp.dot(x.T, d_product, precision='highest') for x in shifted]
    )
    return None, (d_row, d_kernel)

  _, (d_rows, d_kernels) = jax.lax.scan(
    gradients_fn, None, (INPUT, KERNEL, OUTPUT.T)
  )
  dx = _input_gradient(d_rows, num_tiles)
  dx = dx.reshape(batch, -1, *dx.shape[4:])
  above = sides.rows[0]
  input_height = height + 2 * dilation - sum(sides.rows)
  d_kernel = jnp.tensordot(KERNEL.T, d_kernels, 1, precision='highest')
  return dx[:, above : above + input_height], d_kernel


convolve.defvjp(_forward, _backward)
