"""Resizing of pictures."""

import numpy as np
from PIL import Image, ImageOps

METHODS = ('crop', 'squash')


def fit(rgb: np.ndarray, size: int, method: str) -> np.ndarray:
  """Resizes a picture to a square.

  Args:
    rgb: [H, W, 3] uint8.
    size: side of the result in pixels.
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
  """Reduces a picture to a long side of at most `side` pixels.

  Args:
    rgb: [H, W, 1] or [H, W, 3] uint8.
    side: largest number of pixels of the long side.

  Returns:
    A Pillow image; smaller pictures keep their size.
  """
  height, width = rgb.shape[:2]
  ratio = min(1.0, side / max(height, width))
  size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
  image = to_pillow(rgb)
  if image.size == size:
    return image
  return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def scale_short_side(rgb: np.ndarray, size: int) -> np.ndarray:
  """Scales a picture to a short side of `size` pixels.

  Args:
    rgb: [H, W, 3] uint8.
    size: number of pixels of the short side.

  Returns:
    [H', W', 3] uint8 with min(H', W') = size.
  """
  height, width = rgb.shape[:2]
  ratio = size / min(height, width)
  # Width and height, in the order of Pillow.
  sides = (max(size, round(width * ratio)), max(size, round(height * ratio)))
  return np.asarray(
    Image.fromarray(rgb).resize(sides, Image.Resampling.LANCZOS)
  )
