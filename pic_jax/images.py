"""Image files: reading photographs safely, fitting them, writing grids."""

import os
import pathlib
import stat

import numpy as np
from PIL import Image, ImageOps

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
# Decoded, a photograph of this size takes 300 MB.
MAX_PIXELS = 100_000_000
GRID_GAP = 2  # white pixels between the pictures of a grid


class ImageError(ValueError):
  """A file that cannot be used as a photograph; the text names it."""


def load_image(path: str | os.PathLike) -> np.ndarray:
  """Reads a photograph, turned upright, without transparency.

  Args:
    path: a JPEG, PNG, WebP, BMP or TIFF file of up to 100 megapixels.

  Returns:
    [H, W, 3] uint8 RGB; grey files give three equal channels.

  Raises:
    ImageError: the file is missing, not a regular file, of another format,
      damaged or too large.
  """
  path = pathlib.Path(path)
  try:
    if not stat.S_ISREG(path.stat().st_mode):
      raise ImageError(f'{path}: not a regular file.')
    with Image.open(path, formats=FORMATS) as image:
      width, height = image.size
      if width * height > MAX_PIXELS:
        raise ImageError(
          f'{path}: {width} x {height} pixels, at most {MAX_PIXELS:,} in all.'
        )
      return _to_rgb(ImageOps.exif_transpose(image))
  except FileNotFoundError:
    raise ImageError(f'{path}: no such file.') from None
  except (OSError, SyntaxError, Image.DecompressionBombError) as error:
    reason = 'not a readable image' if 'identify' in str(error) else error
    raise ImageError(f'{path}: {reason}.') from None


def _to_rgb(image: Image.Image) -> np.ndarray:
  if image.mode.startswith(('I', 'F')):
    # Pillow clips 16-bit grey at 255 when it converts.
    grey = np.asarray(image, np.float64)
    top = 65535.0 if image.mode.startswith('I') else max(grey.max(), 1e-9)
    grey = np.clip(255.0 * grey / top, 0, 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, -1)
  if 'A' in image.getbands() or 'transparency' in image.info:
    white = Image.new('RGBA', image.size, 'white')
    image = Image.alpha_composite(white, image.convert('RGBA'))
  return np.asarray(image.convert('RGB'))


def fit(rgb: np.ndarray, size: int) -> np.ndarray:
  """Scales the short side to `size` and crops the centre.

  Args:
    rgb: [H, W, 3] uint8.
    size: side of the result, pixels.

  Returns:
    [size, size, 3] uint8; the image itself if it has this size.
  """
  if rgb.shape[:2] == (size, size):
    return rgb
  return np.asarray(
    ImageOps.fit(Image.fromarray(rgb), (size, size), Image.Resampling.LANCZOS)
  )


def scale_short_side(rgb: np.ndarray, size: int) -> np.ndarray:
  """Scales [H, W, 3] uint8 so that its short side has `size` pixels."""
  height, width = rgb.shape[:2]
  ratio = size / min(height, width)
  shape = (max(size, round(width * ratio)), max(size, round(height * ratio)))
  return np.asarray(
    Image.fromarray(rgb).resize(shape, Image.Resampling.LANCZOS)
  )


def grid(rows: np.ndarray, scale: int = 1) -> np.ndarray:
  """Puts pictures [rows, columns, H, W, 3] uint8 into one, white between."""
  rows = rows.repeat(scale, 2).repeat(scale, 3)
  num_rows, num_columns, height, width, _ = rows.shape
  gap = GRID_GAP
  shape = (num_rows * (height + gap) - gap, num_columns * (width + gap) - gap)
  picture = np.full((*shape, 3), 255, np.uint8)
  for row in range(num_rows):
    for column in range(num_columns):
      top, left = row * (height + gap), column * (width + gap)
      picture[top : top + height, left : left + width] = rows[row, column]
  return picture


def save_png(path: str | os.PathLike, rgb: np.ndarray) -> None:
  """Writes [H, W, 3] uint8; the file appears whole or not at all."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  Image.fromarray(rgb).save(temporary, 'PNG')
  temporary.replace(path)
