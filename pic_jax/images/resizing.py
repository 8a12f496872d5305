"""Resizing of pictures."""

import numpy as np
from PIL import Image, ImageOps

METHODS = ('crop', 'squash')


def fit(rgb: np.ndarray, size: int, method: str) -> np.ndarray:
  """Scales a picture to a square.

  Args:
    rgb: [H, W, 3] uint8.
    size: side of the result, pixels.
    method: 'crop' scales the short side to `size` and crops the centre;
      'squash' scales both sides to `size` and ignores the aspect ratio, like
      the authors' code for ILSVRC.

  Returns:
    [size, size, 3] uint8; `rgb` itself if it already has this size.
  """
  if rgb.shape[:2] == (size, size):
    return rgb
  picture, shape = Image.fromarray(rgb), (size, size)
  if method == 'crop':
    return np.asarray(ImageOps.fit(picture, shape, Image.Resampling.LANCZOS))
  return np.asarray(picture.resize(shape, Image.Resampling.LANCZOS))


def to_pillow(rgb: np.ndarray) -> Image.Image:
  """Converts [H, W, C] uint8, C from 1 to 4, to a Pillow image."""
  return Image.fromarray(rgb[..., 0] if rgb.shape[-1] == 1 else rgb)


def limit_long_side(rgb: np.ndarray, side: int) -> Image.Image:
  """Scales [H, W, 1] or [H, W, 3] uint8 to a long side of at most `side`."""
  height, width = rgb.shape[:2]
  ratio = min(1.0, side / max(height, width))
  size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
  image = to_pillow(rgb)
  if image.size == size:
    return image
  return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def scale_short_side(rgb: np.ndarray, size: int) -> np.ndarray:
  """Scales [H, W, 3] uint8 so that its short side has `size` pixels."""
  height, width = rgb.shape[:2]
  ratio = size / min(height, width)
  shape = (max(size, round(width * ratio)), max(size, round(height * ratio)))
  return np.asarray(
    Image.fromarray(rgb).resize(shape, Image.Resampling.LANCZOS)
  )
