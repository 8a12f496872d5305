"""Conversion of photographs to the network's size, and of chroma back."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from PIL import Image

from pic_jax.images import any_shape, color, to_srgb
from pic_jax.photos import adjustments, guided_upsampling

# Ratios of the long to the short side that the network sees. With portrait and
# landscape, 7 shapes are compiled. Photographs between two shapes are padded.
# Those longer than the last ratio are also shrunk.
ASPECTS = (1.0, 1.5, 2.0, 4.0)
# A photograph is toned (for example sepia or cyanotype) and not coloured if its
# (a, b) are almost a function of luminance. This is the largest deviation from
# such a function that counts as toned, a root mean square in Lab units.
TONE_TOLERANCE = 2.5
# Largest root mean square of (a, b), in Lab units, that counts as grey. JPEG
# compression may leave this much colour in a grey photograph.
GREY_TOLERANCE = 1.0
BRUSH_SIDE = 128  # largest short side of `brush_luminance`, in pixels


@dataclasses.dataclass(frozen=True)
class NetworkInput:
  """A photograph, prepared for the network.

  Attributes:
    luminance: [H, W] float32 L of the photograph, 0..100.
    grey_values: [H', W'] uint8 luminance, round(2.55 L), at the network's size,
      padded by repeating the edges.
    map_shape: (h, w), size of the chroma map without padding.
    chroma: [H' / factor, W' / factor, 2] Lab integers of a colour photograph,
      padded like `grey_values`; None if the photograph is grey or toned.
    is_toned: True if the photograph is grey except for one tone.
    hints: [h, w, 3] known cells, see `model.hints`; None without hints.
    hint_notes: notes for the user, see `hint_files.KnownCells`.
    kept: [h, w] weight of the chroma that samples have without hints, see
      `hint_files.KnownCells`; None if that chroma is not needed.
    kept_chroma: [h, w, 2] Lab integers that replace the chroma of samples, NaN
      where the sampled chroma stays; None if it stays everywhere.
  """

  luminance: np.ndarray
  grey_values: np.ndarray
  map_shape: tuple[int, int]
  chroma: np.ndarray | None
  is_toned: bool = False
  hints: np.ndarray | None = None
  hint_notes: tuple[str, ...] = ()
  kept: np.ndarray | None = None
  kept_chroma: np.ndarray | None = None

  @property
  def is_kept(self) -> np.ndarray:
    """Mask [h, w] of the cells that have `kept_chroma`."""
    if self.kept_chroma is None:
      return np.zeros(self.map_shape, bool)
    return ~np.isnan(self.kept_chroma[..., 0])


def chroma_shape(
  height: int, width: int, size: int, *, factor: int
) -> tuple[int, int]:
  """Returns the size of the chroma map of a photograph, without padding.

  Args:
    height: rows of the photograph.
    width: columns of the photograph.
    size: short side that the network was trained on, in pixels.
    factor: side of a chroma cell in pixels of the network's luminance.

  Returns:
    Rows and columns. The short side is `size` / `factor`. It is shorter if the
    ratio of the photograph's sides exceeds the last of `ASPECTS`.
  """
  short, long = sorted((height, width))
  cells_per_pixel = size / factor / max(short, long / ASPECTS[-1])
  return (
    max(1, round(height * cells_per_pixel)),
    max(1, round(width * cells_per_pixel)),
  )


def padded_shape(
  shape: tuple[int, int], size: int, factor: int
) -> tuple[int, int]:
  """Returns the size of the grey values, with padding.

  Args:
    shape: rows and columns of the chroma map, without padding.
    size: short side that the network was trained on, in pixels.
    factor: side of a chroma cell in pixels of the network's luminance.
  """
  sides = [round(size * aspect / factor) for aspect in ASPECTS]  # in cells
  rows, columns = (
    factor * next(side for side in sides if side >= cells) for cells in shape
  )
  return rows, columns


def _pad(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Pads [H, W, ...] at the bottom and right by repeating the edges."""
  widths = [(0, to - side) for side, to in zip(x.shape, shape, strict=False)]
  return np.pad(x, widths + [(0, 0)] * (x.ndim - 2), 'edge')


def _resize(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Scales [H, W] float32 or [H, W, 3] uint8 to `shape`, rows and columns."""
  rows, columns = shape
  image = Image.fromarray(x)
  return np.asarray(image.resize((columns, rows), Image.Resampling.LANCZOS))


def _is_grey_or_toned(lab: np.ndarray) -> bool:
  """Tests whether (a, b) of Lab colours [..., 3] are almost cubic in L."""
  lab = lab.reshape(-1, 3)
  powers = np.vander(lab[:, 0] / 100.0, 4)
  fit, *_ = np.linalg.lstsq(powers, lab[:, 1:], rcond=None)
  return _deviation(lab[:, 1:] - powers @ fit) < TONE_TOLERANCE


def _deviation(chroma: np.ndarray) -> float:
  """Returns the root mean square of the length of (a, b) [..., 2]."""
  return float(np.sqrt(np.square(chroma).sum(-1).mean()))


def to_network_size(
  rgb: np.ndarray, size: int, factor: int, *, chroma_filter: str
) -> NetworkInput:
  """Prepares a photograph for the network, without hints.

  Args:
    rgb: [H, W], [H, W, 1] or [H, W, 3] uint8.
    size: short side that the network was trained on, in pixels.
    factor: side of a chroma cell in pixels of the network's luminance.
    chroma_filter: filter of the chroma, see `color.subsample`.

  Raises:
    ValueError: if `rgb` has another shape or dtype.
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
  map_shape = chroma_shape(height, width, size, factor=factor)
  inner_shape = (map_shape[0] * factor, map_shape[1] * factor)
  outer_shape = padded_shape(map_shape, size, factor)
  small = np.clip(_resize(luminance, inner_shape), 0.0, 100.0)
  grey_values = _pad(
    np.asarray(2.55 * small).round().astype(np.uint8), outer_shape
  )
  if rgb.shape[-1] == 1 or (rgb == rgb[..., :1]).all():
    return NetworkInput(luminance, grey_values, map_shape, None)
  lab = any_shape.rgb_to_lab(_pad(_resize(rgb, inner_shape), outer_shape))
  inside = lab[: inner_shape[0], : inner_shape[1]]
  if _is_grey_or_toned(inside):
    is_toned = _deviation(inside[..., 1:]) > GREY_TOLERANCE
    return NetworkInput(luminance, grey_values, map_shape, None, is_toned)
  chroma = color.subsample(lab[None, ..., 1:], factor, chroma_filter)
  return NetworkInput(
    luminance,
    grey_values,
    map_shape,
    np.asarray(color.round_chroma(jnp.asarray(chroma)))[0],
  )


def cell_luminance(
  network_input: NetworkInput, factor: int, chroma_filter: str
) -> np.ndarray:
  """Returns the luminance of the cells of the chroma map.

  Args:
    network_input: the photograph.
    factor: side of a chroma cell in pixels of the network's luminance.
    chroma_filter: filter of the subsampling, see `color.subsample`.

  Returns:
    [h, w] L in 0..100, without padding.
  """
  rows, columns = network_input.map_shape
  small = network_input.grey_values[None, ..., None] / np.float32(2.55)
  small = np.asarray(color.subsample(small, factor, chroma_filter))
  return small[0, :rows, :columns, 0]


def brush_luminance(
  network_input: NetworkInput, factor: int
) -> tuple[np.ndarray, int]:
  """Returns the luminance in which brushes find edges.

  Args:
    network_input: the photograph.
    factor: side of a chroma cell in pixels of the network's luminance.

  Returns:
    [cell_side h, cell_side w] L in 0..100, without padding; and `cell_side`,
    the side of a cell of the chroma map in pixels of this luminance. The short
    side has at most `BRUSH_SIDE` pixels, but at least one for each cell.
  """
  short = min(network_input.map_shape)
  divisors = [n for n in range(1, factor + 1) if not factor % n]
  cell_side = max(n for n in divisors if n == 1 or n * short <= BRUSH_SIDE)
  rows, columns = (factor * side for side in network_input.map_shape)
  pixels = network_input.grey_values[:rows, :columns] / np.float32(2.55)
  step = factor // cell_side  # grey values per pixel of the result
  squares = pixels.reshape(rows // step, step, columns // step, step)
  return squares.mean((1, 3)), cell_side


class Window(NamedTuple):
  """Position of a part in its photograph.

  The part may have been scaled. All numbers are in pixels of the photograph at
  the scale of the part.

  Attributes:
    top, left: row and column of the first pixel of the part.
    whole_height, whole_width: size of the whole photograph.
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
  """Combines a chroma map with the luminance of a photograph.

  Args:
    network_input: the photograph. Its `luminance` [H, W] may cover only a part.
    chroma: [h, w, 2] in Lab units.
    factor: side of a chroma cell in pixels of the network's luminance.
    chroma_filter: filter that determines the positions of the chroma values,
      see `color.upsample`.
    wanted: adjustments of the whole photograph.
    window: position of `network_input.luminance` in the photograph; None if
      this luminance covers the whole photograph.

  Returns:
    [H, W, 3] uint8; and the fraction of pixels that were clipped to the gamut
    of sRGB. All other pixels keep their luminance.
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
    chroma_rows = guided_upsampling.upsample_rows(
      maps, luminance, window.top + strip.start, height=window.whole_height
    )
    lab = wanted.balance(np.concatenate([luminance, chroma_rows], -1))
    rgb[strip], is_clipped = any_shape.lab_to_rgb(lab)
    num_clipped += int(is_clipped.sum())
  return rgb, num_clipped / (height * width)


def grey_picture(network_input: NetworkInput) -> np.ndarray:
  """Returns the photograph in grey, [H, W, 3] uint8."""
  rgb = np.empty((*network_input.luminance.shape, 3), np.uint8)
  for strip in to_srgb.strips(*network_input.luminance.shape):
    luminance = network_input.luminance[strip, :, None]
    lab = np.pad(luminance, ((0, 0), (0, 0), (0, 2)))
    rgb[strip], _ = any_shape.lab_to_rgb(lab)
  return rgb
