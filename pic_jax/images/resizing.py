"""Fitting pictures to the size that a network was built for."""

import numpy as np
from PIL import Image, ImageOps

METHODS = ('crop', 'squash')


def fit(rgb: np.ndarray, size: int, method: str) -> np.ndarray:
  """Scales a picture to a square.

  Args:
    rgb: [H, W, 3] uint8.
    size: side of the result, pixels.
    method: 'crop' scales the short side and crops the centre; 'squash' scales
      both sides, whatever the aspect, like the authors' code for ILSVRC.

  Returns:
    [size, size, 3] uint8; the picture itself if it has this size.
  """
  if rgb.shape[:2] == (size, size):
    return rgb
  picture, shape = Image.fromarray(rgb), (size, size)
  if method == 'crop':
    return np.asarray(ImageOps.fit(picture, shape, Image.Resampling.LANCZOS))
  return np.asarray(picture.resize(shape, Image.Resampling.LANCZOS))


def scale_short_side(rgb: np.ndarray, size: int) -> np.ndarray:
  """Scales [H, W, 3] uint8 so that its short side has `size` pixels."""
  height, width = rgb.shape[:2]
  ratio = size / min(height, width)
  shape = (max(size, round(width * ratio)), max(size, round(height * ratio)))
  return np.asarray(
    Image.fromarray(rgb).resize(shape, Image.Resampling.LANCZOS)
  )
