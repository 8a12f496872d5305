"""Photographs of any size: to the network's size, and chroma back to theirs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from pic_jax.images import color
from pic_jax.photos import guided_upsampling

# The long side is at most this many times the short side; what is longer is
# made smaller and padded, so that a strip of pixels does not take hours.
MAX_ASPECT = 8
# Sides that the network sees are multiples of the trained size over this, so
# that few shapes have to be compiled.
SIDES_PER_SIZE = 2


@dataclasses.dataclass(frozen=True)
class Grey:
  """What the network sees of a photograph.

  Attributes:
    luminance: [H, W] L of the photograph, 0..100, float32.
    levels: [H', W'] uint8 grey levels at the network's size, edges padded.
    shape: h, w: rows and columns of the chroma map that are not padding.
    chroma: [H' / factor, W' / factor, 2] Lab integers of a colour photograph,
      padded like `levels`; None for a grey one.
  """

  luminance: np.ndarray
  levels: np.ndarray
  shape: tuple[int, int]
  chroma: np.ndarray | None


def chroma_shape(
  height: int, width: int, size: int, factor: int
) -> tuple[int, int]:
  """Rows and columns of the chroma map of a photograph, without padding.

  The short side is `size` / `factor`, unless the long one is more than
  `MAX_ASPECT` times longer.
  """
  short, long = sorted((height, width))
  cells = size / factor / max(short, long / MAX_ASPECT)
  return max(1, round(height * cells)), max(1, round(width * cells))


def _pad(x: np.ndarray, size: int, unit: int) -> np.ndarray:
  """Repeats the edges below and to the right, up to one of few sizes."""
  widths = [
    (0, max(-(-side // unit) * unit, size) - side) for side in x.shape[:2]
  ]
  return np.pad(x, widths + [(0, 0)] * (x.ndim - 2), 'edge')


def _resize(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Scales [H, W] float32 or [H, W, 3] uint8 to rows and columns."""
  image = Image.fromarray(x)
  return np.asarray(image.resize(shape[::-1], Image.Resampling.LANCZOS))


@jax.jit
def _luminance(rgb: jax.Array) -> jax.Array:
  return color.rgb_to_lab(rgb)[..., 0]


def see(rgb: np.ndarray, size: int, factor: int, chroma_filter: str) -> Grey:
  """Turns a photograph grey and small.

  Args:
    rgb: [H, W], [H, W, 1] or [H, W, 3], uint8 or uint16.
    size: short side that the network was trained on, pixels.
    factor, chroma_filter: of its chroma.

  Raises:
    ValueError: not such an array.
  """
  if rgb.ndim == 2:
    rgb = rgb[..., None]
  is_image = rgb.ndim == 3 and rgb.shape[-1] in (1, 3) and rgb.size
  if not is_image or rgb.dtype not in (np.uint8, np.uint16):
    raise ValueError(
      '`rgb` must be [H, W], [H, W, 1] or [H, W, 3] and uint8 or uint16, got '
      f'{rgb.shape} and {rgb.dtype}.'
    )
  height, width = rgb.shape[:2]
  luminance = np.empty((height, width), np.float32)
  for strip in guided_upsampling.strips(height):
    rows = rgb[strip]
    luminance[strip] = _luminance(np.broadcast_to(rows, (*rows.shape[:2], 3)))
  shape = chroma_shape(height, width, size, factor)
  large = (shape[0] * factor, shape[1] * factor)
  small = np.clip(_resize(luminance, large), 0.0, 100.0)
  levels = np.asarray(2.55 * small).round().astype(np.uint8)
  unit = max(1, size // SIDES_PER_SIZE // factor)
  chroma = None
  if rgb.shape[-1] == 3 and (rgb != rgb[..., :1]).any():
    if rgb.dtype == np.uint16:
      rgb = (rgb // 257).astype(np.uint8)
    lab = color.rgb_to_lab(_resize(rgb, large)[None])
    chroma = color.subsample(lab[..., 1:], factor, chroma_filter)
    chroma = np.asarray(color.round_chroma(chroma))[0]
    chroma = _pad(chroma, size // factor, unit)
  return Grey(luminance, _pad(levels, size, unit * factor), shape, chroma)


@functools.partial(jax.jit, static_argnums=(3,))
def _colour_strip(
  luminance: jax.Array, chroma: jax.Array, saturation: float, dtype: str
) -> tuple[jax.Array, jax.Array]:
  """RGB [R, W, 3] of a strip, and whether each pixel [R, W] was clipped."""
  lab = jnp.concatenate([luminance, saturation * chroma], -1)
  return color.lab_to_rgb(lab, jnp.dtype(dtype)), ~color.is_in_gamut(lab)


def join(
  grey: Grey,
  chroma: np.ndarray,
  factor: int,
  chroma_filter: str,
  upsampling: str,
  saturation: float,
  dtype: np.dtype,
) -> tuple[np.ndarray, float]:
  """Puts a chroma map onto a photograph's own luminance.

  Args:
    grey: of the photograph.
    chroma: [h, w, 2] Lab units.
    factor: ratio of the network's luminance to it.
    chroma_filter: on whose grid the values stand.
    upsampling: of `guided.METHODS`.
    saturation: factor of the chroma.
    dtype: uint8 or uint16.

  Returns:
    [H, W, 3] of `dtype`, and the share of pixels that were clipped to the
    gamut of sRGB; all others keep their luminance.
  """
  height, width = grey.luminance.shape
  rows, columns = (side * factor for side in grey.shape)
  small = grey.levels[None, :rows, :columns, None] / np.float32(2.55)
  small = color.subsample(small, factor, chroma_filter)[0]
  maps = guided_upsampling.prepare(
    chroma, small, width, factor, chroma_filter, upsampling
  )
  rgb = np.empty((height, width, 3), dtype)
  is_clipped = np.empty((height, width), bool)
  for strip in guided_upsampling.strips(height):
    luminance = grey.luminance[strip, :, None]
    wide = guided_upsampling.upsample_rows(maps, luminance, strip.start, height)
    rgb[strip], is_clipped[strip] = _colour_strip(
      luminance, wide, saturation, np.dtype(dtype).name
    )
  return rgb, float(is_clipped.mean())
