"""Causal convolution, one definition for training and sampling.

Keep written values, zero-padded; read the receptive field of the block being
written; convolve without padding. Training writes the block "whole
map"; sampling writes one row (down stream) or one pixel (down-right stream).
Streams as in Salimans et al. 2017, sec. 2.
"""

import jax
import jax.numpy as jnp

from pic_jax.model import layers


class CausalConv(layers.WeightNormConv):
  """Convolution that reads the rows above and at most `right` columns ahead.

  The cache is private to this class. `__call__` takes any number of rows:
  the whole map, or the next row after `start`. `pixel` takes the next pixel,
  after `start` and, for every row, `start_row`: then the kernel is used in two
  parts, its upper rows once per row for all columns, its last row per pixel.

  Cache of N canvases, zeros until written, which *are* the zero padding:
    history: [N, kh - 1, left + w + right, C] the rows before, padded.
    row: [N, 1, left + w, C] this row as far as written (pixel by pixel only).
    above: [N, 1, w, features] what the upper rows of the kernel and the bias
      give for this row (pixel by pixel only).

  Attributes:
    left, right: zero columns on either side, left + right = kw - 1.
  """

  left: int = 1
  right: int = 1
  padding: str = 'VALID'

  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves the next rows [B, rows, w, C] to [B, rows, w, features]."""
    num_above = self.kernel_size[0] - 1
    x = x.astype(self.dtype)
    if self.has_variable('cache', 'history'):
      x = jnp.pad(x, ((0, 0), (0, 0), (self.left, self.right), (0, 0)))
      x = jnp.concatenate([self.get_variable('cache', 'history'), x], 1)
      self.put_variable('cache', 'history', x[:, x.shape[1] - num_above :])
      return super().__call__(x)
    # Not `jnp.pad`, for which the gradient would be that of a larger map.
    sides = ((num_above, 0), (self.left, self.right))
    return super().__call__(x, padding=sides)

  def start(self, num_canvases: int, width: int, by_pixel: bool) -> None:
    """Folds the weights and writes an empty cache for [N, h, width, C]."""
    kernel = self.fold()
    num_above, kernel_width, channels = *self.kernel_size, kernel.shape[2]
    num_above -= 1

    def zeros(name: str, rows: int, columns: int, *, channels: int) -> None:
      shape = (num_canvases, rows, columns, channels)
      self.put_variable('cache', name, jnp.zeros(shape, self.dtype))

    zeros(
      'history', num_above, self.left + width + self.right, channels=channels
    )
    if by_pixel:
      zeros('row', 1, self.left + width, channels=channels)
      zeros('above', 1, width, channels=self.features)
      self.put_variable('constants', 'upper', kernel[:num_above])
      here = kernel[num_above].reshape(kernel_width * channels, self.features)
      self.put_variable('constants', 'here', here)

  def start_row(self) -> None:
    """Moves the finished row into the history; convolves the rows above."""
    row = self.get_variable('cache', 'row')
    history = self.get_variable('cache', 'history')
    # `left + right` columns of zeros belong to a padded row, `left` to `row`.
    padded = jnp.pad(row, ((0, 0), (0, 0), (0, self.right), (0, 0)))
    history = jnp.concatenate([history[:, 1:], padded], 1)
    above = layers.convolve(history, self.get_variable('constants', 'upper'))
    bias = layers.channels_last(self.get_variable('constants', 'b'))
    self.put_variable('cache', 'history', history)
    self.put_variable('cache', 'above', above + bias)

  def pixel(self, x: jax.Array, col: jax.Array) -> jax.Array:
    """Convolves the next pixel [N, 1, 1, C] to [N, 1, 1, features]."""
    row = self.get_variable('cache', 'row')
    row = jax.lax.dynamic_update_slice_in_dim(
      row, x.astype(self.dtype), col + self.left, 2
    )
    self.put_variable('cache', 'row', row)
    window = jax.lax.dynamic_slice_in_dim(row, col, self.left + 1, 2)
    here = jnp.dot(
      window.reshape(row.shape[0], -1),
      self.get_variable('constants', 'here'),
      precision='highest' if self.dtype == jnp.float32 else None,
    )
    above = jax.lax.dynamic_slice_in_dim(
      self.get_variable('cache', 'above'), col, 1, 2
    )
    return above + here[:, None, None]
