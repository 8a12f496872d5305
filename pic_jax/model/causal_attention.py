"""Attention to earlier chroma (not in the paper).

Two parts of one object can be far from each other. A decoder whose receptive
field is a few pixels may then colour them differently (the paper's figure 5).
Here a pixel attends to the chroma of all earlier pixels and of all hints,
mainly where the luminance looks similar. Queries and keys come from the
embedding only. The attention weights are therefore known before sampling
starts, and the samples of an image share them.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import hints as hint_maps
from pic_jax.model import layers

# Number of channels of each query and each key, per head.
KEY_FEATURES = 16
# Chroma is mostly within +-0.2 in network units. This factor scales it to
# about +-1.
VALUE_SCALE = 5.0
# Initial decrease of the logits per pixel of distance, for the first and for
# the last head. The heads between them are evenly spaced.
SLOPES = (0.02, 0.52)
# Number of channels that are averaged: a, b, their squares, and the constant 1.
NUM_VALUES = 5
# Number of rows of queries processed at once; 2 is faster than 4 or 16.
ROWS_PER_CHUNK = 2


def initial_slopes(num_heads: int) -> np.ndarray:
  """Returns the initial slope of each head, [heads]; see `SLOPES`."""
  return np.linspace(*SLOPES, num_heads, dtype=np.float32)


def _values(canvas: jax.Array) -> jax.Array:
  """Computes the values [..., 5] that attention averages; see `NUM_VALUES`.

  The means of the squares tell whether the attended colours agree. The mean of
  the constant 1 is the total weight of the attended pixels.

  Args:
    canvas: [..., 2] chroma in network units.
  """
  ab = VALUE_SCALE * canvas
  return jnp.concatenate([ab, ab * ab, jnp.ones_like(ab[..., :1])], -1)


def _hint_mask(hints: jax.Array | None) -> jax.Array | None:
  """Returns the mask [B, h w] bool of pixels with hints, or None."""
  return None if hints is None else hints[..., 2].reshape(len(hints), -1) > 0


class CausalAttention(nn.Module):
  """Attention whose output is a projection of weighted means of earlier chroma.

  It is used like `CausalConv`. `__call__` takes whole maps. In sampling,
  `start_row` returns the contribution of all rows above, and of all hints, to
  every pixel of a row. `pixel` then returns the contribution of the current row
  to the next pixel. The two contributions add up to the result of `__call__`.

  Cache of N canvases:
    row: [] int32, index of the next row.
    canvas: [N, h, w, 2] chroma of the finished rows. The other rows hold hints,
      and zeros where there is no hint.
    pixels: [N, w, 2] the current row, valid up to the last written pixel.
    weights: [B, heads, w, w] attention weights between the pixels of the
      current row (query, key); 0 for hinted keys, which `start_row` includes.

  Attributes:
    features: number of output channels.
    num_heads: number of attention heads.
  """

  features: int
  num_heads: int

  def setup(self) -> None:
    self.queries_and_keys = layers.WeightNormConv(
      2 * self.num_heads * KEY_FEATURES
    )
    self.log_sharpness = self._head_parameter('log_sharpness')
    self.log_slope = self._head_parameter('log_slope')
    # Bias of the logit for attending to nothing, see `_weights`.
    self.nothing = self._head_parameter('nothing')
    self.project = layers.WeightNormConv(self.features)

  def _head_parameter(self, name: str) -> jax.Array:
    """Returns a parameter [heads], or the copy of it that `start` stored."""
    if self.has_variable('constants', name):
      return self.get_variable('constants', name)
    return self.param(name, nn.initializers.zeros, (self.num_heads,))

  def __call__(
    self,
    canvas: jax.Array,
    embedding: jax.Array,
    hints: jax.Array | None = None,
  ) -> jax.Array:
    """Attends from all pixels of whole maps, a few rows at a time.

    Args:
      canvas: [B, h, w, 2] in network units.
      embedding: [B, h, w, E].
      hints: [B, h, w, 3] known chroma (see `hints`), or None.

    Returns:
      [B, h, w, features]. A pixel that has nothing to attend to gets only the
      bias of the projection.
    """
    batch, height, width, _ = canvas.shape
    queries, keys = self._queries_and_keys(embedding)
    canvas = hint_maps.put(canvas, hints)
    values = _values(canvas).reshape(batch, height * width, -1)
    hint_mask = _hint_mask(hints)

    means = []
    for row in range(0, height, ROWS_PER_CHUNK):
      first, end = row * width, min(row + ROWS_PER_CHUNK, height) * width
      num_keys = end if hints is None else height * width
      weights = self._weights(
        queries[:, first:end],
        keys[:, :num_keys],
        width,
        first=first,
        hint_mask=hint_mask,
      )
      means.append(self._mean(weights, values[:, :num_keys]))
    means = jnp.concatenate(means, 1)  # [B, h w, heads 5]
    return self.project(means.reshape(batch, height, width, -1))

  def _queries_and_keys(
    self, embedding: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Projects [B, h, w, E] to two arrays [B, h w, heads, KEY_FEATURES]."""
    both = self.queries_and_keys(layers.concat_elu(embedding))
    shape = (len(both), -1, 2, self.num_heads, KEY_FEATURES)
    queries, keys = jnp.moveaxis(both.reshape(shape), 2, 0)
    sharpness = jnp.exp(self.log_sharpness) / np.sqrt(KEY_FEATURES)
    return queries * sharpness[None, None, :, None], keys

  def _weights(
    self,
    queries: jax.Array,
    keys: jax.Array,
    width: int,
    *,
    first: int | jax.Array,
    hint_mask: jax.Array | None = None,
  ) -> jax.Array:
    """Computes the attention weights of earlier and of hinted pixels.

    The weights of a query add up to less than 1. The rest belongs to the
    query's own position, which stands for attending to nothing.

    Args:
      queries: [B, I, heads, KEY_FEATURES] queries of I successive pixels.
      keys: [B, J, heads, KEY_FEATURES] keys of the first J pixels.
      width: number of columns w of the maps.
      first: index of the first query's pixel in raster order.
      hint_mask: [B, J] bool, whether a pixel has a hint; None for no hints.

    Returns:
      [B, heads, I, J].
    """
    i = first + jnp.arange(queries.shape[1])[None, :, None]
    j = jnp.arange(keys.shape[1])[None, None]
    rows_apart, columns_apart = i // width - j // width, i % width - j % width
    squared_distances = rows_apart**2 + columns_apart**2
    slope = initial_slopes(self.num_heads) * jnp.exp(self.log_slope)
    slope = slope[:, None, None]
    bias = -slope * jnp.sqrt(squared_distances.astype(jnp.float32))
    bias = jnp.where(i == j, self.nothing[:, None, None], bias)[None]
    logits = jnp.einsum('bihd,bjhd->bhij', queries, keys, precision='highest')
    is_seen = (i > j)[None]
    if hint_mask is not None:
      is_seen |= (i != j)[None] & hint_mask[:, None, None]
    logits = jnp.where(is_seen | (i == j)[None], logits + bias, -jnp.inf)
    return jnp.where(is_seen, jax.nn.softmax(logits), 0.0)

  def start(
    self,
    embedding: jax.Array,
    num_canvases: int,
    hints: jax.Array | None = None,
  ) -> None:
    """Prepares sampling: computes queries and keys, and sets up the cache.

    Args:
      embedding: [B, h, w, E].
      num_canvases: number N of canvases, a multiple of B.
      hints: [B, h, w, 3] known chroma, or None.
    """
    batch, height, width, _ = embedding.shape
    queries, keys = self._queries_and_keys(embedding)
    canvas = jnp.zeros((batch, height, width, 2))
    canvas = jnp.repeat(hint_maps.put(canvas, hints), num_canvases // batch, 0)
    if hints is not None:
      self.put_variable('constants', 'hint_mask', _hint_mask(hints))
    for name, value in (
      ('queries', queries),
      ('keys', keys),
      ('log_sharpness', self.log_sharpness),
      ('log_slope', self.log_slope),
      ('nothing', self.nothing),
    ):
      self.put_variable('constants', name, value)
    self.project.fold()
    for name, value in (
      ('row', jnp.zeros((), jnp.int32)),
      ('canvas', canvas),
      ('pixels', canvas[:, 0]),
      ('weights', jnp.zeros((batch, self.num_heads, width, width))),
    ):
      self.put_variable('cache', name, value)

  def start_row(self) -> jax.Array:
    """Begins a row.

    Moves the finished row into the canvas, and attends from the pixels of the
    next row to the rows above and to all hints.

    Returns:
      [N, 1, w, features] contribution to the next row, with the bias.
    """
    row = self.get_variable('cache', 'row')
    pixels = self.get_variable('cache', 'pixels')
    canvas = self.get_variable('cache', 'canvas')
    # Before the first row this rewrites row 0 unchanged.
    canvas = jax.lax.dynamic_update_slice_in_dim(
      canvas, pixels[:, None], jnp.maximum(row - 1, 0), 1
    )
    num_canvases, height, width, _ = canvas.shape
    first = row * width
    queries = jax.lax.dynamic_slice_in_dim(
      self.get_variable('constants', 'queries'), first, width, 1
    )
    keys = self.get_variable('constants', 'keys')
    # Pixels whose chroma is known before the row starts.
    is_known = (jnp.arange(height * width) < first)[None]
    hint_mask = None
    if self.has_variable('constants', 'hint_mask'):
      hint_mask = self.get_variable('constants', 'hint_mask')
      is_known |= hint_mask
    weights = self._weights(
      queries, keys, width, first=first, hint_mask=hint_mask
    )
    is_known = is_known[:, None, None]
    row_weights = jax.lax.dynamic_slice_in_dim(
      jnp.where(is_known, 0.0, weights), first, width, 3
    )
    self.put_variable('cache', 'row', row + 1)
    self.put_variable('cache', 'canvas', canvas)
    self.put_variable('cache', 'weights', row_weights)
    weights = jnp.where(is_known, weights, 0.0)
    values = _values(canvas).reshape(num_canvases, height * width, -1)
    return self.project(self._mean(weights, values)[:, None])

  def pixel(self, x: jax.Array, col: jax.Array) -> jax.Array:
    """Writes a pixel, and attends from its right neighbour to this row.

    Args:
      x: [N, 1, 1, 2] chroma of the pixel in network units.
      col: column of the pixel.

    Returns:
      [N, 1, 1, features] contribution of this row to the right neighbour.
    """
    pixels = jax.lax.dynamic_update_slice_in_dim(
      self.get_variable('cache', 'pixels'), x[:, 0], col, 1
    )
    self.put_variable('cache', 'pixels', pixels)
    # The last pixel of a row has no right neighbour. Its result is not used.
    weights = jax.lax.dynamic_slice_in_dim(
      self.get_variable('cache', 'weights'), col + 1, 1, 2
    )
    means = self._mean(weights, _values(pixels))[:, None]
    # Only the kernel is applied, because `start_row` has added the bias.
    kernel = self.project.get_variable('constants', 'kernel')
    return layers.convolve(means, kernel)

  def _mean(self, weights: jax.Array, values: jax.Array) -> jax.Array:
    """Averages values with attention weights.

    Args:
      weights: [B, heads, I, J].
      values: [N, J, 5] for N = B S canvases, S of each image.

    Returns:
      [N, I, heads 5].
    """
    values = values.reshape(len(weights), -1, *values.shape[1:])
    means = jnp.einsum('bhij,bsjc->bsihc', weights, values, precision='highest')
    return means.reshape(-1, weights.shape[2], self.num_heads * values.shape[3])
