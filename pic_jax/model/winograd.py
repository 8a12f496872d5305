"""Cheaper 3x3 convolutions on CPU (Winograd 1980; Lavin & Gray 2016).

F(4, 3) along the rows: four rows of the output are sums of six products, each
of which is a 1x3 convolution, in place of twelve: half the multiplications.
Not along both sides: F(2x2, 3x3) makes maps four times as large before its
products, F(4x4, 3x3) is ten times less accurate.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Rows of the output and of the input that belong together.
TILE, WINDOW = 4, 6
# The polynomials' points are 0, 1, -1, 1/2, -2 and infinity: 1.5 times as
# accurate as with 2 and -2 (Barabasz et al. 2020).
INPUT = np.float32([  # product, row of the window
  [1, -3 / 2, -2, 3 / 2, 1, 0],
  [0, -1, 1 / 2, 5 / 2, 1, 0],
  [0, 1, -5 / 2, 1 / 2, 1, 0],
  [0, -2, -1, 2, 1, 0],
  [0, 1 / 2, -1, -1 / 2, 1, 0],
  [0, 1, -3 / 2, -2, 3 / 2, 1],
])  # fmt: skip
KERNEL = np.float32([  # product, row of the kernel
  [1, 0, 0],
  [1 / 3, 1 / 3, 1 / 3],
  [-1 / 3, 1 / 3, -1 / 3],
  [-16 / 15, -8 / 15, -4 / 15],
  [1 / 15, -2 / 15, 4 / 15],
  [0, 0, 1],
])  # fmt: skip
OUTPUT = np.float32([  # row of the tile, product
  [1, 1, 1, 1, 1, 0],
  [0, 1, -1, 1 / 2, -2, 0],
  [0, 1, 1, 1 / 4, 4, 0],
  [0, 1, -1, 1 / 8, -8, 1],
])  # fmt: skip

# Measured with gradients on one AVX-512 core, 16 x 16 maps: at 16 maps 96 -> 48
# channels take 0.8 of the time, 64 -> 32 as long; with one map the kernel's
# sums cost what the products save.
MIN_CHANNELS = 96 * 48  # those of the input times those of the output
MIN_POSITIONS = 2048  # of all maps of a batch

_allowed = contextvars.ContextVar('winograd_allowed', default=False)

Pair = tuple[int, int]


class Sides(NamedTuple):
  """Zeros around an input's rows and columns; the kernel's dilation."""

  rows: Pair
  columns: Pair
  dilation: int = 1


@contextlib.contextmanager
def allowed() -> Iterator[None]:
  """Allows `layers.convolve` to use this where it is faster, while traced.

  For training and likelihood. Sampling stays without: its passes pixel by pixel
  and over whole maps have to agree to the last bits, and these sums differ from
  plain ones by 1e-6. It belongs inside the function that is compiled.
  """
  token = _allowed.set(True)
  try:
    yield
  finally:
    _allowed.reset(token)


def pays(
  x: jax.Array,
  kernel: jax.Array,
  padding: str | Sequence[Pair],
  *,
  stride: int,
  dilation: int,
) -> bool:
  """Whether a convolution is allowed here and faster.

  Args:
    x, kernel, padding, stride, dilation: as of `layers.convolve`.
  """
  *sides, channels, features = kernel.shape
  if (
    not _allowed.get()
    or jax.default_backend() != 'cpu'
    or x.dtype != jnp.float32
    or sides != [3, 3]
    or stride != 1
    or channels * features < MIN_CHANNELS
  ):
    return False
  rows, columns, _ = explicit_sides(padding, dilation)
  if max(*rows, *columns) > 2 * dilation:
    return False
  height = x.shape[1] + sum(rows) - 2 * dilation
  width = x.shape[2] + sum(columns) - 2 * dilation
  # What is left of the products, of which an edge may need a whole tile.
  share = WINDOW * dilation * _num_tiles(height, dilation) / (3 * height)
  return x.shape[0] * height * width >= MIN_POSITIONS and share <= 2 / 3


def explicit_sides(padding: str | Sequence[Pair], dilation: int) -> Sides:
  """Spells out the padding of a 3x3 convolution."""
  if isinstance(padding, str):
    each = {'SAME': dilation, 'VALID': 0}[padding]
    return Sides((each, each), (each, each), dilation)
  rows, columns = padding
  return Sides(tuple(rows), tuple(columns), dilation)


def _num_tiles(height: int, dilation: int) -> int:
  """Tiles that cover the rows of every phase of the dilation."""
  return -(-height // (TILE * dilation))


def _combine(factors: Sequence | jax.Array, maps: Sequence) -> jax.Array:
  """Sum of maps times factors: numbers, or an array that is being traced."""
  if isinstance(factors, np.ndarray):
    pairs = [(f, x) for f, x in zip(factors, maps, strict=True) if f]
    return sum(x if f == 1.0 else f * x for f, x in pairs)
  return sum(factors[i] * x for i, x in enumerate(maps))


def _convolve_columns(
  x: jax.Array, kernel: jax.Array, padding: Pair, *, dilation: int
) -> jax.Array:
  """Convolves the rows [B, R, W, C] with [3, C, F], each by itself."""
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
  """Pads [B, H, W, C] to [B, tiles + 1, TILE, dilation, W', C]."""
  (above, _), columns, dilation = sides
  below = TILE * dilation * (num_tiles + 1) - x.shape[1] - above
  x = jnp.pad(x, ((0, 0), (above, below), columns, (0, 0)))
  shape = (len(x), num_tiles + 1, TILE, dilation, *x.shape[2:])
  return x.reshape(shape)


def _windows(x: jax.Array) -> list[jax.Array]:
  """Row i of every window, [B, tiles dilation, W', C], of what `_pad` gives."""
  rows = [x[:, :-1, i] for i in range(TILE)]
  rows += [x[:, 1:, i] for i in range(WINDOW - TILE)]
  return [_merge(row) for row in rows]


def _merge(x: jax.Array) -> jax.Array:
  """[B, tiles, dilation, W, C] -> [B, tiles dilation, W, C]."""
  return x.reshape(len(x), -1, *x.shape[3:])


def _spread(matrix: np.ndarray, maps: Sequence, num_tiles: int) -> jax.Array:
  """Rows of tiles as sums over products.

  Args:
    matrix: [TILE, WINDOW].
    maps: WINDOW of [B, tiles dilation, W, C].
    num_tiles: of every phase.

  Returns:
    [B, tiles, TILE, dilation, W, C].
  """
  batch, rows, width, channels = maps[0].shape
  shape = (batch, num_tiles, 1, rows // num_tiles, width, channels)
  return sum(
    matrix[:, a].reshape(1, 1, TILE, 1, 1, 1) * maps[a].reshape(shape)
    for a in range(WINDOW)
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: jax.Array, kernel: jax.Array, sides: Sides) -> jax.Array:
  """Convolves [B, H, W, C] with [3, 3, C, F] in float32.

  Args:
    x, kernel: see above.
    sides: no padding exceeds twice the dilation.
  """
  # Without a gradient: fewer programs to compile, so each for its factors.
  return _forward(x, kernel, sides, in_loop=False)[0]


def _forward(
  x: jax.Array, kernel: jax.Array, sides: Sides, *, in_loop: bool = True
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  """The convolution; the padded input and the kernel for its gradient."""
  dilation = sides.dilation
  height = x.shape[1] + sum(sides.rows) - 2 * dilation
  num_tiles = _num_tiles(height, dilation)
  padded = _pad(x, sides, num_tiles)
  windows = _windows(padded)

  def product_fn(of_input: jax.Array, of_kernel: jax.Array) -> jax.Array:
    row = _combine(of_input, windows)
    return _convolve_columns(
      row, _combine(of_kernel, kernel), (0, 0), dilation=dilation
    )

  if in_loop:
    # A loop over products compiles in two thirds of the time of six.
    _, products = jax.lax.scan(
      lambda _, factors: (None, product_fn(*factors)), None, (INPUT, KERNEL)
    )
  else:
    products = [product_fn(*pair) for pair in zip(INPUT, KERNEL, strict=True)]
  y = _spread(OUTPUT, products, num_tiles)
  y = y.reshape(len(x), -1, *y.shape[4:])[:, :height]
  return y, (padded, kernel)


def _backward(
  sides: Sides, saved: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Gradients of input and kernel: the same sums, transposed.

  Not those of XLA: in a loop they take 18 times as long.
  """
  padded, kernel = saved
  dilation = sides.dilation
  batch, height, width, features = dy.shape
  num_tiles = padded.shape[1] - 1
  channels = kernel.shape[2]
  windows = _windows(padded)
  missing = TILE * dilation * num_tiles - height
  dy = jnp.pad(dy, ((0, 0), (0, missing), (0, 0), (0, 0)))
  dy = dy.reshape(batch, num_tiles, TILE, dilation, width, features)
  tiles = [_merge(dy[:, :, i]) for i in range(TILE)]
  turned = kernel[:, ::-1].swapaxes(2, 3)
  back = tuple(2 * dilation - side for side in sides.columns)

  def gradients_fn(_: None, factors: tuple) -> tuple[None, tuple]:
    of_input, of_kernel, of_output = factors
    row = _combine(of_input, windows)
    d_product = _combine(of_output, tiles)
    d_row = _convolve_columns(
      d_product, _combine(of_kernel, turned), back, dilation=dilation
    )
    d_product = d_product.reshape(-1, features)
    starts = range(0, 3 * dilation, dilation)
    columns = [row[:, :, i : i + width].reshape(-1, channels) for i in starts]
    d_kernel = jnp.stack(
      [jnp.dot(x.T, d_product, precision='highest') for x in columns]
    )
    return None, (d_row, d_kernel)

  _, (d_rows, d_kernels) = jax.lax.scan(
    gradients_fn, None, (INPUT, KERNEL, OUTPUT.T)
  )
  # The last rows of a window are the first ones of the next.
  overlap = np.pad(INPUT[:, TILE:], ((0, 0), (0, 2 * TILE - WINDOW)))
  dx = sum(
    jnp.pad(
      _spread(matrix.T, d_rows, num_tiles), ((0, 0), sides, *((0, 0),) * 4)
    )
    for matrix, sides in ((INPUT[:, :TILE], (0, 1)), (overlap, (1, 0)))
  )
  dx = dx.reshape(batch, -1, *dx.shape[4:])
  first = sides.rows[0]
  rows = height + 2 * dilation - sum(sides.rows)
  d_kernel = jnp.tensordot(KERNEL.T, d_kernels, 1, precision='highest')
  return dx[:, first : first + rows], d_kernel


convolve.defvjp(_forward, _backward)
