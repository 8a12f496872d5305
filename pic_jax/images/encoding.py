"""Encoding pictures as PNG, JPEG and WebP."""

import struct
import zlib
from typing import BinaryIO

import numpy as np
from PIL import Image

from pic_jax.images import to_srgb

# Lossy WebP would halve the resolution of the chroma.
WRITE_OPTIONS = {
  'PNG': {},
  'JPEG': {'quality': 95, 'subsampling': 0},
  'WEBP': {'lossless': True, 'exact': True, 'quality': 50},
}
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels: grey, +alpha, RGB, +alpha
STRIP_BYTES = 1 << 22


def write(
  file: BinaryIO, form: str, rgb: np.ndarray, alpha: np.ndarray | None
) -> None:
  """Encodes a picture; see `images.save_image`.

  Args:
    file: open for writing.
    form: 'PNG', 'JPEG' or 'WEBP'.
    rgb: [H, W, 1] or [H, W, 3], uint8 or uint16.
    alpha: [H, W] of the same dtype, or None.
  """
  if form == 'PNG' and rgb.dtype == np.uint16:
    return _write_deep_png(file, rgb, alpha)
  if form == 'JPEG':
    rgb, alpha = to_srgb.over_white(rgb, alpha), None
  rgb = to_srgb.to_8_bits(rgb)
  if alpha is not None:
    rgb = np.append(rgb, to_srgb.to_8_bits(alpha)[..., None], -1)
  if rgb.shape[-1] == 1:
    rgb = rgb[..., 0]
  Image.fromarray(rgb).save(file, form, **WRITE_OPTIONS[form])


def _write_deep_png(
  file: BinaryIO, levels: np.ndarray, alpha: np.ndarray | None
) -> None:
  """Writes 16 bits per channel, which Pillow cannot (PNG, sec. 5 and 9)."""
  height, width, channels = levels.shape
  channels += alpha is not None
  file.write(b'\x89PNG\r\n\x1a\n')
  header = (width, height, 16, COLOR_TYPES[channels], 0, 0, 0)
  _chunk(file, b'IHDR', struct.pack('>IIBBBBB', *header))
  pixel = 2 * channels
  packer = zlib.compressobj()
  num_rows = max(1, STRIP_BYTES // (width * pixel))
  for top in range(0, height, num_rows):
    strip = levels[top : top + num_rows]
    if alpha is not None:
      strip = np.append(strip, alpha[top : top + num_rows, :, None], -1)
    raw = strip.astype('>u2').view(np.uint8).reshape(len(strip), -1)
    # Filter 1: each byte less the one of the pixel to the left, modulo 256.
    lines = np.ones((len(strip), 1 + raw.shape[1]), np.uint8)
    lines[:, 1 : 1 + pixel] = raw[:, :pixel]
    lines[:, 1 + pixel :] = raw[:, pixel:] - raw[:, :-pixel]
    _chunk(file, b'IDAT', packer.compress(lines.tobytes()))
  _chunk(file, b'IDAT', packer.flush())
  _chunk(file, b'IEND', b'')


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
  file.write(struct.pack('>I', len(data)) + kind + data)
  file.write(struct.pack('>I', zlib.crc32(kind + data)))
