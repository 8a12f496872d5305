"""Encoding pictures as PNG, JPEG and WebP."""

from typing import Any, BinaryIO

import numpy as np

from pic_jax.images import resizing, to_srgb

# Lossy WebP would halve the resolution of the chroma.
WRITE_OPTIONS = {
  'PNG': {},
  'JPEG': {'quality': 95, 'subsampling': 0},
  'WEBP': {'lossless': True, 'exact': True, 'quality': 50},
}
MAX_SIDES = {'jpg': 65_500, 'webp': 16_383}  # pixels, by suffix


def write(
  file: BinaryIO,
  form: str,
  rgb: np.ndarray,
  alpha: np.ndarray | None = None,
  about: dict[str, Any] | None = None,
) -> None:
  """Encodes a picture; see `image_files.save_image`.

  Args:
    file: open for writing.
    form: 'PNG', 'JPEG' or 'WEBP'.
    rgb: [H, W, 1] or [H, W, 3] uint8.
    alpha: [H, W] uint8, or None.
    about: see `metadata.of`.
  """
  if form == 'JPEG':
    rgb, alpha = to_srgb.over_white(rgb, alpha), None
  if alpha is not None:
    rgb = np.append(rgb, alpha[..., None], -1)
  options = WRITE_OPTIONS[form] | (about or {})
  resizing.image_of(rgb).save(file, form, **options)
