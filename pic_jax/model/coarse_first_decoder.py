"""Causal decoder that predicts every second pixel first; not in the paper.

The pixels with even rows and even columns form the *lattice*. A `CausalDecoder`
predicts them in raster order. A second one then predicts the rest, one 2 x 2
cell after another in raster order, from the cells before and from the whole
lattice, also from its later pixels. Within a cell, the pixel to the right of
the lattice pixel comes first, then the pixel below it, then the last one.

So p(ab | L) is a product over all pixels, as for `CausalDecoder`, only in
another order. The lattice settles the colours of large objects in a quarter of
the sequential steps.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import causal_decoder, layers

# Residual blocks that look at the whole lattice.
LATTICE_BLOCKS = 2
# Initial standard deviation of each projected input. The projections are added.
INIT_SCALE = 0.5
# Rows and columns of the pixels of a cell, in the order of prediction.
CELL = ((0, 0), (0, 1), (1, 0), (1, 1))


def to_cells(x: jax.Array) -> jax.Array:
  """Groups pixels into 2 x 2 cells: [B, h, w, C] -> [B, h', w', 4, C].

  h' and w' are half of h and w, rounded up. A map with an odd side is extended
  by zeros.
  """
  x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
  return jnp.stack([x[:, row::2, col::2] for row, col in CELL], -2)


def to_lattice(x: jax.Array) -> jax.Array:
  """Takes the lattice of maps: [B, h, w, C] -> [B, h', w', C]."""
  return x[:, ::2, ::2]


def from_cells(cells: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Inverts `to_cells`: [B, h', w', 4, C] -> [B, h, w, C].

  Args:
    cells: the cells.
    shape: (h, w).
  """
  batch, rows, columns, _, channels = cells.shape
  x = cells.reshape(batch, rows, columns, 2, 2, channels)
  x = jnp.moveaxis(x, 3, 2).reshape(batch, 2 * rows, 2 * columns, channels)
  return x[:, : shape[0], : shape[1]]


class CoarseFirstDecoder(nn.Module):
  """Decoder that predicts the lattice first, and then the rest.

  Attributes:
    features, num_blocks, num_outputs, attention_heads, gated, dropout_rate,
      remat, head_scale, head_mean, dtype: see `CausalDecoder`. They apply to
      both decoders, but only the decoder of the lattice has attention.
  """

  features: int = 160
  num_blocks: int = 4
  num_outputs: int = 80
  attention_heads: int = 0
  gated: bool = True
  dropout_rate: float = 0.0
  remat: bool = False
  head_scale: float | tuple[float, ...] = 1.0
  head_mean: float | tuple[float, ...] = 0.0
  dtype: Any = jnp.float32

  def setup(self) -> None:
    self.lattice = self.build_lattice()
    self.rest = self.build_rest()
    width = 2 * self.features
    self.embedding_in = layers.WeightNormConv(
      width, init_scale=INIT_SCALE, dtype=self.dtype
    )
    # The lattice is read in float32, like the canvas.
    self.lattice_in = layers.WeightNormConv(
      width, kernel_size=(3, 3), init_scale=INIT_SCALE
    )
    conv = functools.partial(
      layers.WeightNormConv, kernel_size=(3, 3), dtype=self.dtype
    )
    block = functools.partial(
      layers.GatedBlock,
      gated=self.gated,
      dropout_rate=self.dropout_rate,
      dtype=self.dtype,
    )
    self.context_blocks = [block(width, conv) for _ in range(LATTICE_BLOCKS)]
    # The networks of a cell have kernels of 1 x 1, so they see only this cell.
    self.pixel_in = [
      layers.WeightNormConv(self.features, init_scale=INIT_SCALE)
      for _ in CELL[2:]
    ]
    pointwise = functools.partial(layers.WeightNormConv, dtype=self.dtype)
    self.cell_blocks = [block(self.features, pointwise) for _ in CELL[1:]]
    self.heads = [
      layers.WeightNormConv(
        self.num_outputs, init_scale=self.head_scale, init_mean=self.head_mean
      )
      for _ in CELL[1:]
    ]

  @nn.nowrap
  def _build(self, **kwargs: Any) -> causal_decoder.CausalDecoder:
    return causal_decoder.CausalDecoder(
      features=self.features,
      num_blocks=self.num_blocks,
      gated=self.gated,
      dropout_rate=self.dropout_rate,
      remat=self.remat,
      dtype=self.dtype,
      **kwargs,
    )

  @nn.nowrap
  def build_lattice(self) -> causal_decoder.CausalDecoder:
    """Builds the decoder of the lattice; its output is theta."""
    return self._build(
      num_outputs=self.num_outputs,
      attention_heads=self.attention_heads,
      head_scale=self.head_scale,
      head_mean=self.head_mean,
    )

  @nn.nowrap
  def build_rest(self) -> causal_decoder.CausalDecoder:
    """Builds the decoder of the rest; its output are features of a cell."""
    return self._build(num_outputs=self.features)

  @nn.nowrap
  def pixel_order(self, height: int, width: int) -> np.ndarray:
    """Returns the order of prediction: rows and columns [h w, 2] int."""
    rows, columns = np.mgrid[0:height:2, 0:width:2]
    corners = np.stack([rows, columns], -1).reshape(-1, 1, 2)
    pixels = corners + np.array(CELL)  # [h' w', 4, 2]
    pixels = np.concatenate([pixels[:, 0], pixels[:, 1:].reshape(-1, 2)])
    return pixels[(pixels < (height, width)).all(-1)]

  def __call__(  # noqa: PLR0917  called like `CausalDecoder`
    self,
    canvas: jax.Array,
    embedding: jax.Array,
    train: bool = False,
    hints: jax.Array | None = None,
  ) -> jax.Array:
    """Predicts theta for all pixels in one parallel pass.

    Args:
      canvas: [B, h, w, C] in network units.
      embedding: [B, h, w, E].
      train: whether to apply dropout.
      hints: [B, h, w, 3] known chroma for the attention, or None.

    Returns:
      theta [B, h, w, P] float32.
    """
    cells = to_cells(canvas)
    reduced = self.reduce(embedding)
    lattice = cells[..., 0, :]
    lattice_hints = None if hints is None else to_lattice(hints)
    theta = [self.lattice(lattice, reduced, train, lattice_hints)]
    context = self.context(reduced, lattice, train)
    rest = cells[..., 1:, :]
    x = self.rest(rest.reshape(*rest.shape[:3], -1), context, train)
    for index in range(1, len(CELL)):
      x, output = self.pixel(x, cells[..., index - 1, :], train, index=index)
      theta.append(output)
    shape = (canvas.shape[1], canvas.shape[2])
    return from_cells(jnp.stack(theta, -2), shape)

  def reduce(self, embedding: jax.Array) -> jax.Array:
    """Projects embeddings to the lattice: [B, h, w, E] -> [B, h', w', F']."""
    cells = to_cells(embedding)
    return self.embedding_in(
      layers.concat_elu(cells.reshape(*cells.shape[:3], -1))
    )

  def context(
    self, reduced: jax.Array, lattice: jax.Array, train: bool = False
  ) -> jax.Array:
    """Computes what the rest is conditioned on, from the whole lattice.

    Args:
      reduced: [B, h', w', F'] see `reduce`.
      lattice: [B, h', w', C] in network units.
      train: whether to apply dropout.

    Returns:
      [B, h', w', F'] float32.
    """
    x = reduced + self.lattice_in(layers.append_ones(lattice))
    for block in self.context_blocks:
      x = block(x, None, train)
    return x

  def pixel(
    self, x: jax.Array, previous: jax.Array, train: bool = False, *, index: int
  ) -> tuple[jax.Array, jax.Array]:
    """Predicts a pixel of each cell from the pixel before it in the cell.

    Args:
      x: [B, h', w', F] features of the cells: the output of the decoder of the
        rest for the first pixel, then the features returned for the pixel
        before.
      previous: [B, h', w', C] the pixel before, in network units.
      train: whether to apply dropout.
      index: 1, 2 or 3, position in `CELL`. The pixel before the first one is in
        the lattice, which the decoder of the rest has read.

    Returns:
      The features [B, h', w', F], and theta [B, h', w', P].
    """
    if index > 1:
      x = x + self.pixel_in[index - 2](layers.append_ones(previous))
    x = self.cell_blocks[index - 1](x, None, train)
    return x, self.heads[index - 1](nn.elu(x)).astype(jnp.float32)
