"""The autoregressive network f^theta (paper sec. 3.2 and 3.3, eq. 2).

This is PixelCNN++ (Salimans et al. 2017) without down- or upsampling. It has a
down stream, which sees the rows above, and a down-right stream, which also sees
the pixels to the left. `CausalDecoder.__call__` runs both on whole maps.
`incremental_decoder.decode` runs the same methods row by row and pixel by
pixel, with cached activations.

In the code, theta is the output of the network, not its weights. It holds the
parameters of the chroma distribution of each pixel. The canvas is the map that
the network reads: the true chroma in training and evaluation, and the chroma
sampled so far in sampling.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pic_jax.model import causal_attention, causal_conv, layers


class CausalDecoder(nn.Module):
  """Network that predicts theta of each pixel from the pixels before it.

  Attributes:
    features: number of channels F of both streams (160 in the paper).
    num_blocks: number of residual blocks in each stream (4 in the paper).
    num_outputs: number P of values of theta for each pixel.
    attention_heads: number of heads of the attention to earlier pixels, which
      is added to the input of the down-right stream; 0 for no attention.
    gated: see `GatedBlock`.
    dropout_rate: dropout rate of the residual blocks.
    remat: whether the backward pass recomputes each block's activations.
    head_scale, head_mean: initial standard deviation and mean of theta, one
      number or [P] numbers.
    dtype: dtype of the convolutions within blocks; the streams are float32.
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
    # `above_input` feeds the down stream. `row_input` (from the row above) and
    # `pixel_input` (from the left) feed the down-right stream. All three read
    # the canvas in float32, because rounding it to bfloat16 makes the model
    # 0.006 bits/dim worse.
    input_conv = functools.partial(causal_conv.CausalConv, self.features)
    self.above_input = input_conv((2, 3))
    self.row_input = input_conv((1, 3))
    self.pixel_input = input_conv((2, 1), left=0, right=0)
    if self.attention_heads:
      self.attention = causal_attention.CausalAttention(
        self.features, self.attention_heads
      )
    conv = functools.partial(causal_conv.CausalConv, dtype=self.dtype)
    block = layers.GatedBlock
    if self.remat:
      block = nn.remat(block, static_argnums=(3,))
    block = functools.partial(
      block,
      self.features,
      conditional=True,
      gated=self.gated,
      dropout_rate=self.dropout_rate,
      dtype=self.dtype,
    )
    self.down_blocks = [
      block(functools.partial(conv, kernel_size=(3, 3)))
      for _ in range(self.num_blocks)
    ]
    self.down_right_blocks = [
      block(functools.partial(conv, kernel_size=(3, 3), left=2, right=0))
      for _ in range(self.num_blocks)
    ]
    self.head = layers.WeightNormConv(
      self.num_outputs, init_scale=self.head_scale, init_mean=self.head_mean
    )

  def __call__(  # noqa: PLR0917  documented in docs/api.md
    self,
    canvas: jax.Array,
    embedding: jax.Array,
    train: bool = False,
    hints: jax.Array | None = None,
  ) -> jax.Array:
    """Predicts theta for all pixels in one parallel pass.

    The prediction for a pixel depends on the embedding, on the pixels before it
    in raster order and, with attention, on all hints.

    Args:
      canvas: [B, h, w, C] in network units.
      embedding: [B, h, w, E].
      train: whether to apply dropout.
      hints: [B, h, w, 3] known chroma for the attention, or None.

    Returns:
      theta [B, h, w, P] float32.
    """
    down, down_right = self.convolve_rows(canvas)
    down_right = layers.shift_down(down_right)
    down_right += layers.shift_right(
      self.pixel_input(layers.append_ones(canvas))
    )
    if self.attention_heads:
      down_right += self.attention(canvas, embedding, hints)
    conditioning = [block.condition(embedding) for block in self.down_blocks]
    maps = self.down_stack(layers.shift_down(down), conditioning, train)
    conditioning = [
      block.condition(x, embedding)
      for block, x in zip(self.down_right_blocks, maps, strict=True)
    ]
    return self.down_right_stack(down_right, conditioning, train)

  def convolve_rows(self, canvas: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Convolves rows of the canvas for the inputs of the two streams.

    Row i of the result feeds row i + 1, so the caller shifts the result one row
    down. Because the shift follows the bias, row 0 receives exact zeros, not
    the bias.

    Args:
      canvas: [B, rows, w, C] in network units.

    Returns:
      Two arrays [B, rows, w, F]: one for the input of the down stream, and one
      for the input of the down-right stream.
    """
    canvas = layers.append_ones(canvas)
    return self.above_input(canvas), self.row_input(canvas)

  def write_pixel(self, values: jax.Array, col: jax.Array) -> jax.Array:
    """Stores a pixel in the caches and returns a term for its right neighbour.

    With attention, the term includes the neighbour's attention to all pixels of
    the row so far.

    Args:
      values: [N, 1, 1, C] values of the pixel in network units.
      col: column of the pixel.

    Returns:
      [N, 1, 1, F] term to add to the down-right stream's input at the right
      neighbour.
    """
    term = self.pixel_input.pixel(layers.append_ones(values), col)
    if self.attention_heads:
      term += self.attention.pixel(values, col)
    return term

  def down_stack(
    self, x: jax.Array, conditioning: list[jax.Array], train: bool = False
  ) -> list[jax.Array]:
    """Runs the down stream.

    Args:
      x: [B, rows, w, F] input of the first block.
      conditioning: one array [B, rows, w, F] for each block.
      train: whether to apply dropout.

    Returns:
      The output [B, rows, w, F] of each block.
    """
    maps = []
    for block, projected in zip(self.down_blocks, conditioning, strict=True):
      x = block(x, projected, train)
      maps.append(x)
    return maps

  def down_right_stack(
    self,
    x: jax.Array,
    conditioning: list[jax.Array],
    train: bool = False,
    *,
    col: jax.Array | None = None,
  ) -> jax.Array:
    """Runs the down-right stream on whole maps or on one pixel.

    Args:
      x: [B, h, w, F] input of the first block; h = w = 1 if `col` is given.
      conditioning: one array for each block, with the shape of `x`.
      train: whether to apply dropout.
      col: column of the pixel, or None for whole maps.

    Returns:
      theta [B, h, w, P].
    """
    for block, projected in zip(
      self.down_right_blocks, conditioning, strict=True
    ):
      x = block(x, projected, train, col=col)
    return self.head(nn.elu(x))

  def start(
    self,
    embedding: jax.Array,
    num_canvases: int,
    hints: jax.Array | None = None,
  ) -> tuple[list[jax.Array], list[jax.Array]]:
    """Prepares sampling: empties the caches and projects the embedding once.

    Args:
      embedding: [B, h, w, E].
      num_canvases: number N of canvases, a multiple of B.
      hints: [B, h, w, 3] known chroma for the attention, or None.

    Returns:
      Two lists, for the down stream and for the down-right stream, with the
      conditioning [B, h, w, F] of each block. `start_row` later adds the
      projected output of the down stream to the down-right list.
    """
    width = embedding.shape[2]
    self.above_input.start(num_canvases, width, by_pixel=False)
    self.row_input.start(num_canvases, width, by_pixel=False)
    self.pixel_input.start(num_canvases, width, by_pixel=True)
    if self.attention_heads:
      self.attention.start(embedding, num_canvases, hints)
    for block in self.down_blocks:
      block.start(num_canvases, width, by_pixel=False)
    for block in self.down_right_blocks:
      block.start(num_canvases, width, by_pixel=True)
    self.head.fold()
    down = [
      block.condition_part(embedding, 0, with_bias=True)
      for block in self.down_blocks
    ]
    down_right = [
      block.condition_part(embedding, self.features, with_bias=True)
      for block in self.down_right_blocks
    ]
    return down, down_right

  def start_row(
    self,
    down: jax.Array,
    down_right: jax.Array,
    *,
    down_conditioning: list[jax.Array],
    down_right_conditioning: list[jax.Array],
  ) -> tuple[jax.Array, list[jax.Array]]:
    """Computes the parts of a row that do not depend on its own pixels.

    Args:
      down, down_right: [N, 1, w, F] results of `convolve_rows` for the row
        above; zeros for row 0.
      down_conditioning, down_right_conditioning: conditioning [N, 1, w, F] of
        each block. This is the current row of each array that `start` returned,
        with each image repeated for its canvases.

    Returns:
      Two items: the input [N, 1, w, F] of the down-right stream, without the
      terms that `write_pixel` returns; and a list with the conditioning
      [N, 1, w, F] of each block of the down-right stream.
    """
    maps = self.down_stack(down, down_conditioning)
    self.pixel_input.start_row()
    if self.attention_heads:
      down_right += self.attention.start_row()
    for block in self.down_right_blocks:
      block.start_row()
    conditioning = [
      block.condition_part(x, 0, with_bias=False) + projected
      for block, x, projected in zip(
        self.down_right_blocks, maps, down_right_conditioning, strict=True
      )
    ]
    return down_right, conditioning
