"""Causal convolution, with one definition for training and sampling.

In training, the layer convolves the whole map at once. In sampling, it
convolves one row (down stream) or one pixel (down-right stream) at a time, and
reads earlier values from a cache. Values outside the map are zero. The two
streams are described in Salimans et al. 2017, sec. 2.
"""

import jax
import jax.numpy as jnp

from pic_jax.model import layers


class CausalConv(layers.WeightNormConv):
  """Convolution whose kernel covers a row and the rows above it.

  The kernel reaches `left` columns to the left and `right` columns to the right
  of a pixel. The layer can be used in three ways:

  * `__call__` takes whole maps.
  * After `start`, `__call__` takes one block of rows after another.
  * After `start`, `start_row` begins each row and `pixel` takes one pixel after
    another; `right` must be 0. `start_row` applies all rows of the kernel but
    the last to the rows above, and `pixel` applies the last.

  The cache of N canvases is private to this class. It starts as zeros, which
  serve as zero padding. Its arrays are:
    history: [N, kh - 1, left + w + right, C] the rows above this row, padded.
    row: [N, 1, left + w, C] the pixels of this row so far, padded (only for
      `pixel`).
    above: [N, 1, w, features] the bias plus the contribution of the rows above
      to this row (only for `pixel`).

  Attributes:
    left, right: numbers of zero columns on either side; left + right = kw - 1.
  """

  left: int = 1
  right: int = 1
  padding: str = 'VALID'

  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves [B, rows, w, C] to [B, rows, w, features].

    Args:
      x: whole maps; or, after `start`, the next rows of the N canvases.
    """
    num_above = self.kernel_size[0] - 1
    x = x.astype(self.dtype)
    if self.has_variable('cache', 'history'):
      x = jnp.pad(x, ((0, 0), (0, 0), (self.left, self.right), (0, 0)))
      x = jnp.concatenate([self.get_variable('cache', 'history'), x], 1)
      self.put_variable('cache', 'history', x[:, x.shape[1] - num_above :])
      return super().__call__(x)
    # The convolution pads its input itself. If `jnp.pad` did that, the gradient
    # would be computed for the larger, padded map.
    sides = ((num_above, 0), (self.left, self.right))
    return super().__call__(x, padding=sides)

  def start(self, num_canvases: int, width: int, by_pixel: bool) -> None:
    """Prepares sampling: calls `fold` and makes a cache of zeros.

    Args:
      num_canvases: number N of canvases.
      width: number of columns of a canvas.
      by_pixel: whether sampling uses `start_row` and `pixel`; if not, it uses
        `__call__`.
    """
    kernel = self.fold()
    kernel_height, kernel_width, channels, _ = kernel.shape
    num_above = kernel_height - 1

    def put_zeros(name: str, rows: int, columns: int, *, channels: int) -> None:
      shape = (num_canvases, rows, columns, channels)
      self.put_variable('cache', name, jnp.zeros(shape, self.dtype))

    put_zeros(
      'history', num_above, self.left + width + self.right, channels=channels
    )
    if by_pixel:
      put_zeros('row', 1, self.left + width, channels=channels)
      put_zeros('above', 1, width, channels=self.features)
      self.put_variable('constants', 'upper', kernel[:num_above])
      last = kernel[num_above].reshape(kernel_width * channels, self.features)
      self.put_variable('constants', 'last', last)

  def start_row(self) -> None:
    """Begins a row.

    Moves the finished row into the history, and applies all rows of the kernel
    but the last to the history.
    """
    row = self.get_variable('cache', 'row')
    history = self.get_variable('cache', 'history')
    history = jnp.concatenate([history[:, 1:], row], 1)
    above = layers.convolve(history, self.get_variable('constants', 'upper'))
    bias = layers.channels_last(self.get_variable('constants', 'b'))
    self.put_variable('cache', 'history', history)
    self.put_variable('cache', 'above', above + bias)

  def pixel(self, x: jax.Array, col: jax.Array) -> jax.Array:
    """Convolves the next pixel [N, 1, 1, C] to [N, 1, 1, features].

    Args:
      x: the pixel.
      col: column of the pixel.
    """
    row = self.get_variable('cache', 'row')
    row = jax.lax.dynamic_update_slice_in_dim(
      row, x.astype(self.dtype), col + self.left, 2
    )
    self.put_variable('cache', 'row', row)
    window = jax.lax.dynamic_slice_in_dim(row, col, self.left + 1, 2)
    this_row = jnp.dot(
      window.reshape(row.shape[0], -1),
      self.get_variable('constants', 'last'),
      precision='highest' if self.dtype == jnp.float32 else None,
    )
    above = jax.lax.dynamic_slice_in_dim(
      self.get_variable('cache', 'above'), col, 1, 2
    )
    return above + this_row[:, None, None]
