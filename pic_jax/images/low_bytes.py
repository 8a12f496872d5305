"""Rounding of 16-bit colours to 8 bits; Pillow would drop the low bytes."""

import io
import sys
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from pic_jax.images import to_srgb

# Byte orders: the last letter of Pillow's raw modes. 'N' is the native order.
_NATIVE = {'little': 'L', 'big': 'B'}[sys.byteorder]
_OPPOSITE = {'L': 'B', 'B': 'L'}


def load(image: ImageFile.ImageFile, data: bytes) -> None:
  """Loads a picture, and rounds colours of 16 bits per channel to 8 bits.

  Pillow drops the low byte of each value. To read the low bytes, the file is
  decoded a second time with swapped byte order.

  Args:
    image: the opened file; its pixels are loaded in place.
    data: contents of the file.
  """
  # Modes in which Pillow drops the low bytes. Pillow also drops them in 'RGBa',
  # but then divides by alpha, so the values cannot be rounded.
  is_truncated = bool(image.tile) and _raw_mode(image.tile[0].args).startswith(
    ('RGB;16', 'RGBX;16', 'RGBA;16', 'LA;16', 'CMYK;16')
  )
  is_grey = is_truncated and _raw_mode(image.tile[0].args).startswith('LA')
  image.load()
  if not is_truncated:
    return
  with Image.open(io.BytesIO(data), formats=(image.format or '',)) as swapped:
    swapped.seek(image.tell())
    swapped.tile = [
      tile._replace(args=_swapped_args(tile.args)) for tile in swapped.tile
    ]
    for rows in to_srgb.strips(image.height, image.width):
      box = (0, rows.start, image.width, rows.stop)
      high_part = image.crop(box)
      low_part = np.asarray(swapped.crop(box), np.uint16)
      if is_grey:  # read as RGBA: high and low byte of grey, then of alpha
        low_part = low_part[..., [1, 1, 1, 3]]
      values = np.asarray(high_part, np.uint16) << 8 | low_part
      rounded = to_srgb.to_8_bits(values).tobytes()
      rounded_part = Image.frombytes(image.mode, high_part.size, rounded)
      image.paste(rounded_part, box)


def _raw_mode(args: Any) -> str:
  return str(args[0] if isinstance(args, tuple) else args)


def _swapped_args(args: Any) -> Any:
  """Returns decoder arguments for the opposite byte order."""
  mode = _raw_mode(args)
  order = mode[-1].replace('N', _NATIVE)
  mode = 'RGBA' if mode.startswith('LA') else mode[:-1] + _OPPOSITE[order]
  return (mode, *args[1:]) if isinstance(args, tuple) else mode
