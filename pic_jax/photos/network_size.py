"""Photographs of any size: to the network's size, and chroma back to theirs."""

import dataclasses
from typing import NamedTuple

import numpy as np
from PIL import Image

from pic_jax.images import any_shape, color, to_srgb
from pic_jax.photos import adjustments, guided_upsampling

# Long sides that the network sees, over the short one: 7 shapes to compile.
# What is longer is made smaller and padded.
ASPECTS = (1.0, 1.5, 2.0, 4.0)
# A photograph whose (a, b) stay this near (root mean square, Lab units) to a
# curve over luminance was toned, not coloured: sepia, cyanotype, a bluish scan.
TONE_TOLERANCE = 2.5
BRUSH_SIDE = 64  # of the short side, see `brush_luminance`
GREY_TOLERANCE = 1.0  # of (a, b) themselves: what a JPEG leaves of grey


@dataclasses.dataclass(frozen=True)
class NetworkInput:
  """The network's input for a photograph.

  Attributes:
    luminance: [H, W] L of the photograph, 0..100, float32.
    grey_values: [H', W'] uint8 luminance at the network's size, edges padded.
    map_shape: (h, w), size of the chroma map without padding.
    chroma: [H' / factor, W' / factor, 2] Lab integers of a colour photograph,
      padded like `grey_values`; None for a grey or toned one.
    is_toned: whether it is grey but for one tone.
    hints: [h, w, 3], cells that are given; None: none.
    hint_notes: see `hint_files.Known`.
    anchors: [h, w] bool, cells that samples keep as they are without hints, see
      `photos.anchors`; None: none.
  """

  luminance: np.ndarray
  grey_values: np.ndarray
  map_shape: tuple[int, int]
  chroma: np.ndarray | None
  is_toned: bool = False
  hints: np.ndarray | None = None
  hint_notes: tuple[str, ...] = ()
  anchors: np.ndarray | None = None


def chroma_shape(
  height: int, width: int, size: int, *, factor: int
) -> tuple[int, int]:
  """Rows and columns of the chroma map of a photograph, without padding.

  The short side is `size` / `factor`, unless the long one is more than the
  last of `ASPECTS` times longer.
  """
  short, long = sorted((height, width))
  cells = size / factor / max(short, long / ASPECTS[-1])
  return max(1, round(height * cells)), max(1, round(width * cells))


def padded_shape(
  shape: tuple[int, int], size: int, factor: int
) -> tuple[int, int]:
  """Rows and columns of the grey values, for a chroma map of this shape."""
  sides = [round(size * aspect / factor) for aspect in ASPECTS]
  rows, columns = (
    factor * next(side for side in sides if side >= cells) for cells in shape
  )
  return rows, columns


def _pad(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Repeats the edges of [H, W, ...] below and to the right."""
  widths = [(0, to - side) for side, to in zip(x.shape, shape, strict=False)]
  return np.pad(x, widths + [(0, 0)] * (x.ndim - 2), 'edge')


def _resize(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Scales [H, W] float32 or [H, W, 3] uint8 to rows and columns."""
  image = Image.fromarray(x)
  return np.asarray(image.resize(shape[::-1], Image.Resampling.LANCZOS))


def _is_toned(lab: np.ndarray) -> bool:
  """Whether the colours [..., 3] are a function of their luminance."""
  lab = lab.reshape(-1, 3)
  powers = np.vander(lab[:, 0] / 100.0, 4)
  fit, *_ = np.linalg.lstsq(powers, lab[:, 1:], rcond=None)
  return _deviation(lab[:, 1:] - powers @ fit) < TONE_TOLERANCE


def _deviation(chroma: np.ndarray) -> float:
  """Root of the mean square of (a, b) [..., 2]."""
  return float(np.sqrt(np.square(chroma).sum(-1).mean()))


def to_network_size(
  rgb: np.ndarray, size: int, factor: int, *, chroma_filter: str
) -> NetworkInput:
  """Turns a photograph grey and small.

  Args:
    rgb: [H, W], [H, W, 1] or [H, W, 3] uint8.
    size: short side that the network was trained on, pixels.
    factor, chroma_filter: of its chroma.

  Raises:
    ValueError: not such an array.
  """
  if rgb.ndim == 2:
    rgb = rgb[..., None]
  is_image = rgb.ndim == 3 and rgb.shape[-1] in (1, 3) and rgb.size
  if not is_image or rgb.dtype != np.uint8:
    raise ValueError(
      '`rgb` must be [H, W], [H, W, 1] or [H, W, 3] and uint8, got '
      f'{rgb.shape} and {rgb.dtype}.'
    )
  height, width = rgb.shape[:2]
  luminance = np.empty((height, width), np.float32)
  for strip in to_srgb.strips(height, width):
    rows = np.broadcast_to(rgb[strip], (*rgb[strip].shape[:2], 3))
    luminance[strip] = any_shape.rgb_to_lab(rows)[..., 0]
  shape = chroma_shape(height, width, size, factor=factor)
  large = (shape[0] * factor, shape[1] * factor)
  padded = padded_shape(shape, size, factor)
  small = np.clip(_resize(luminance, large), 0.0, 100.0)
  grey_values = _pad(np.asarray(2.55 * small).round().astype(np.uint8), padded)
  if rgb.shape[-1] == 1 or (rgb == rgb[..., :1]).all():
    return NetworkInput(luminance, grey_values, shape, None)
  lab = any_shape.rgb_to_lab(_pad(_resize(rgb, large), padded))
  inside = lab[: large[0], : large[1]]
  if _is_toned(inside):
    is_toned = _deviation(inside[..., 1:]) > GREY_TOLERANCE
    return NetworkInput(luminance, grey_values, shape, None, is_toned)
  chroma = color.subsample(lab[None, ..., 1:], factor, chroma_filter)
  return NetworkInput(
    luminance, grey_values, shape, np.asarray(color.round_chroma(chroma))[0]
  )


def cell_luminance(
  network_input: NetworkInput, factor: int, chroma_filter: str
) -> np.ndarray:
  """[h, w] L of the cells of the chroma map, 0..100, without padding."""
  rows, columns = network_input.map_shape
  small = network_input.grey_values[None, ..., None] / np.float32(2.55)
  small = np.asarray(color.subsample(small, factor, chroma_filter))
  return small[0, :rows, :columns, 0]


def brush_luminance(
  network_input: NetworkInput, factor: int
) -> tuple[np.ndarray, int]:
  """Luminance in which brushes see edges.

  Returns:
    [parts h, parts w] L, 0..100, without padding; and `parts`, into how many a
    side of a cell of the chroma map is divided, so that the short side has at
    most `BRUSH_SIDE`.
  """
  short = min(network_input.map_shape)
  divisors = [n for n in range(1, factor + 1) if not factor % n]
  parts = max(n for n in divisors if n == 1 or n * short <= BRUSH_SIDE)
  rows, columns = (factor * side for side in network_input.map_shape)
  pixels = network_input.grey_values[:rows, :columns] / np.float32(2.55)
  side = factor // parts
  squares = pixels.reshape(rows // side, side, columns // side, side)
  return squares.mean((1, 3)), parts


class Window(NamedTuple):
  """The position of a part of a photograph, in pixels of the scaled photograph.

  Attributes:
    top, left: row and column of the part's first pixel.
    whole_height, whole_width: size of the whole scaled photograph.
  """

  top: int
  left: int
  whole_height: int
  whole_width: int


def to_photograph(
  network_input: NetworkInput,
  chroma: np.ndarray,
  factor: int,
  *,
  chroma_filter: str,
  wanted: adjustments.Adjustments = adjustments.NEUTRAL,
  window: Window | None = None,
) -> tuple[np.ndarray, float]:
  """Puts a chroma map onto a photograph's own luminance.

  Args:
    network_input: the photograph.
    chroma: [h, w, 2] Lab units.
    factor: ratio of the network's luminance to it.
    chroma_filter: on whose grid the values stand.
    wanted: adjustments of the whole photograph.
    window: which part the luminance of `network_input` is; None for all.

  Returns:
    [H, W, 3] uint8, and the share of pixels that were clipped to the gamut of
    sRGB; all others keep their luminance.
  """
  height, width = network_input.luminance.shape
  window = window or Window(0, 0, height, width)
  maps = guided_upsampling.prepare(
    np.float32(wanted.saturation) * np.asarray(chroma, np.float32),
    cell_luminance(network_input, factor, chroma_filter)[..., None],
    window.whole_width,
    factor=factor,
    chroma_filter=chroma_filter,
    columns=window.left + np.arange(width),
  )
  rgb = np.empty((height, width, 3), np.uint8)
  num_clipped = 0
  for strip in to_srgb.strips(height, width):
    luminance = network_input.luminance[strip, :, None]
    wide = guided_upsampling.upsample_rows(
      maps, luminance, window.top + strip.start, height=window.whole_height
    )
    lab = wanted.balance(np.concatenate([luminance, wide], -1))
    rgb[strip], is_clipped = any_shape.lab_to_rgb(lab)
    num_clipped += int(is_clipped.sum())
  return rgb, num_clipped / (height * width)


def grey_picture(network_input: NetworkInput) -> np.ndarray:
  """[H, W, 3] uint8: the photograph's luminance, without chroma."""
  rgb = np.empty((*network_input.luminance.shape, 3), np.uint8)
  for strip in to_srgb.strips(*network_input.luminance.shape):
    luminance = network_input.luminance[strip, :, None]
    lab = np.pad(luminance, ((0, 0), (0, 0), (0, 2)))
    rgb[strip], _ = any_shape.lab_to_rgb(lab)
  return rgb
