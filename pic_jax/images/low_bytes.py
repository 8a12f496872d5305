"""The low bytes of colours of 16 bits, which Pillow drops."""

import io
import sys
from typing import Any

import numpy as np
from PIL import Image

from pic_jax.images import to_srgb

_NATIVE = {'little': 'L', 'big': 'B'}[sys.byteorder]
_OTHER = {'L': 'B', 'B': 'L'}


def load(image: Image.Image, data: bytes) -> None:
  """Loads a picture; colours of 16 bits are rounded, not cut, to 8.

  The file is decoded twice: as if its bytes were in the other order, Pillow
  gives the low ones.

  Args:
    image: an opened file.
    data: of the file.
  """
  # RGBa are divided by alpha, high bytes alone; the rest Pillow reads whole.
  is_cut = bool(image.tile) and _raw_mode(image.tile[0].args).startswith(
    ('RGB;16', 'RGBX;16', 'RGBA;16', 'LA;16', 'CMYK;16')
  )
  is_grey = is_cut and _raw_mode(image.tile[0].args).startswith('LA')
  image.load()
  if not is_cut:
    return
  with Image.open(io.BytesIO(data), formats=(image.format,)) as low:
    low.seek(image.tell())
    low.tile = [tile._replace(args=_swapped(tile.args)) for tile in low.tile]
    for rows in to_srgb.strips(image.height, image.width):
      box = (0, rows.start, image.width, rows.stop)
      high_part = image.crop(box)
      part = np.asarray(low.crop(box), np.uint16)
      if is_grey:  # four bytes: high and low of grey, then of alpha
        part = part[..., [1, 1, 1, 3]]
      levels = np.asarray(high_part, np.uint16) << 8 | part
      rounded = to_srgb.to_8_bits(levels).tobytes()
      part = Image.frombytes(image.mode, high_part.size, rounded)
      image.paste(part, box)


def _raw_mode(args: Any) -> str:
  return str(args[0] if isinstance(args, tuple) else args)


def _swapped(args: Any) -> Any:
  """Decoder arguments with the order of the bytes swapped."""
  mode = _raw_mode(args)
  order = mode[-1].replace('N', _NATIVE)
  mode = 'RGBA' if mode.startswith('LA') else mode[:-1] + _OTHER[order]
  return (mode, *args[1:]) if isinstance(args, tuple) else mode
