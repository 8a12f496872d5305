"""Encoding of pictures as PNG, JPEG and WebP."""

import contextlib
from typing import Any, BinaryIO

import numpy as np
from PIL import PngImagePlugin

from pic_jax.images import captions, resizing, to_srgb

# WebP is lossless because lossy WebP halves the resolution of the chroma. With
# 'lossless', the WebP quality is the effort of compression, from 0 to 100.
WRITE_OPTIONS = {
  'PNG': {},
  'JPEG': {'quality': 95, 'subsampling': 0},
  'WEBP': {'lossless': True, 'exact': True, 'quality': 50},
}
MAX_SIDES = {'jpg': 65_500, 'webp': 16_383}  # pixels, keyed by suffix


def write(
  file: BinaryIO,
  form: str,
  rgb: np.ndarray,
  *,
  alpha: np.ndarray | None = None,
  about: dict[str, Any] | None = None,
) -> None:
  """Encodes a picture; see `image_files.save_image`.

  Args:
    file: binary file, open for writing.
    form: file format, 'PNG', 'JPEG' or 'WEBP'.
    rgb: [H, W, 1] or [H, W, 3] uint8.
    alpha: [H, W] uint8; None if all pixels are opaque. JPEG has no alpha, so
      the picture is put on white.
    about: metadata as returned by `metadata.extract`.
  """
  if form == 'JPEG':
    rgb, alpha = to_srgb.over_white(rgb, alpha), None
  if alpha is not None:
    rgb = np.append(rgb, alpha[..., None], -1)
  options = WRITE_OPTIONS[form] | _metadata_options(form, about or {})
  resizing.to_pillow(rgb).save(file, form, **options)


def _metadata_options(form: str, about: dict[str, Any]) -> dict[str, Any]:
  """Returns arguments of `Image.save` for metadata that the format can hold."""
  kept = {'exif', 'dpi', 'xmp', 'comment'} & about.keys()
  options = {name: about[name] for name in kept}
  if form == 'JPEG' and 'iptc' in about:
    options['extra'] = captions.app13(about['iptc'])
  if form == 'PNG':
    options['pnginfo'] = _png_texts(about)
  return options


def _png_texts(about: dict[str, Any]) -> PngImagePlugin.PngInfo:
  """Returns text chunks for PNG texts, JPEG comment and XMP."""
  chunks = PngImagePlugin.PngInfo()
  texts = dict(about.get('texts', {}))
  if 'comment' in about:
    texts.setdefault('Comment', about['comment'].decode('utf-8', 'replace'))
  for name, text in texts.items():
    with contextlib.suppress(ValueError):  # PNG does not allow the name
      chunks.add_itxt(name, text)
  if 'xmp' in about:
    chunks.add_itxt('XML:com.adobe.xmp', about['xmp'].decode())
  return chunks
