"""Safe reading of photographs, and writing of pictures."""

import contextlib
import ctypes
import dataclasses
import errno
import functools
import io
import logging
import os
import pathlib
import re
import stat
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import (
  Image,
  ImageFile,
  PngImagePlugin,
  TiffImagePlugin,
  UnidentifiedImageError,
)

from pic_jax.images import encoding, jpeg_end, low_bytes, metadata, to_srgb
from pic_jax.runtime import errors, whole_file

FORMATS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF', 'AVIF')
SUFFIXES = tuple('.jpg .jpeg .png .webp .tif .tiff .bmp .gif .avif'.split())
HEIF_SUFFIXES = ('.heic', '.heif')
# Advice on files that cannot be read, keyed by suffix.
REMEDIES: dict[str, str] = dict.fromkeys(
  HEIF_SUFFIXES, 'to read HEIC, run `pip install pillow-heif`'
)
# Formats that can be written, keyed by suffix.
WRITTEN = {'.png': 'PNG', '.jpg': 'JPEG', '.jpeg': 'JPEG', '.webp': 'WEBP'}
MAX_BYTES = 200_000_000
MAX_PIXELS = 64_000_000
MAX_PAGES = 100  # pages of a TIFF file that are read
ORIENTATION = 0x0112  # EXIF tag
# TIFF tags.
BITS_PER_SAMPLE, PLANAR_CONFIGURATION, TILE_SIZE = 258, 284, (322, 323)
SUBFILE_TYPE, SUB_IFDS, DNG_VERSION = 254, 330, 50706
REDUCED = 1  # bit of `SUBFILE_TYPE` that marks a preview
# Factors by which Pillow multiplies the grey values of 2-bit and 4-bit PNG,
# keyed by Pillow's raw mode.
GREY_FACTORS = {'L;2': 85, 'L;4': 17}

# Messages for files that are often downloaded in place of a photograph, keyed
# by the beginning of the file.
NO_PHOTOGRAPHS = {
  b'version https://git-lfs': 'a Git LFS pointer; run `git lfs pull`.',
  b'<!doctype html': 'a web page, not a photograph; download it again.',
  b'<html': 'a web page, not a photograph; download it again.',
}
HEIF_BRANDS = (b'heic', b'heix', b'hevc', b'heim', b'heis', b'mif1', b'msf1')
# Errors that concern one file or its name. All other errors concern the system.
FILE_ERRORS = (
  errno.ENOENT,
  errno.EACCES,
  errno.EPERM,
  errno.EISDIR,
  errno.ENOTDIR,
  errno.ELOOP,
  errno.ENAMETOOLONG,
  errno.ENXIO,  # a socket
)

# This module's errors and notes replace Pillow's warnings. The warnings are
# ignored globally, because `catch_warnings` does not work in threads.
warnings.filterwarnings('ignore', module=r'PIL\.')
logging.getLogger('PIL').setLevel(logging.CRITICAL)
# Photoshop's XMP and a scanner's profile may have several megabytes. Pillow's
# limit is one megabyte, and Pillow treats pictures that exceed it as damaged.
PngImagePlugin.MAX_TEXT_CHUNK = 1 << 24
# Keeps libtiff from printing to stderr, if Pillow exports this function.
with contextlib.suppress(AttributeError):
  ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


class EncodingError(errors.RunError):
  """Error for a picture that a file format cannot hold."""


@dataclasses.dataclass(frozen=True)
class Photograph:
  """A photograph, upright and in sRGB.

  Attributes:
    rgb: [H, W, 3] uint8, or [H, W, 1] if it is grey. Pixels with an alpha of 0
      are white, whatever their colour in the file.
    alpha: [H, W] uint8, or None if all pixels are opaque.
    notes: notes for the user, such as 'first of 12 frames'.
    metadata: description, author, dates, resolution; see `metadata.extract`.
  """

  rgb: np.ndarray
  alpha: np.ndarray | None
  notes: tuple[str, ...]
  metadata: dict[str, Any] = dataclasses.field(default_factory=dict)


@functools.cache
def _has_heif() -> bool:
  """Enables HEIC files if pillow-heif is installed; returns whether it is."""
  try:
    import pillow_heif
  except ImportError:
    return False
  pillow_heif.register_heif_opener()
  return True


def suffixes() -> tuple[str, ...]:
  """Returns the suffixes of files that can be read."""
  return SUFFIXES + HEIF_SUFFIXES if _has_heif() else SUFFIXES


def load_photograph(
  path: str | os.PathLike, max_pixels: int = MAX_PIXELS
) -> Photograph:
  """Reads a photograph.

  Even a damaged file raises no errors other than the two below.

  Args:
    path: path of a regular file of at most 200 MB. It may be JPEG, PNG, WebP,
      TIFF, BMP, GIF, AVIF or, if pillow-heif is installed, HEIC; its suffix
      does not matter.
    max_pixels: largest accepted number of pixels, checked before they are
      decoded.

  Raises:
    RunError: if the file is missing, empty, damaged, too large, a raw file or
      not a photograph, or has pixels that are not supported, such as
      floating-point, 32-bit or Lab values.
    DiskError: if the disk or the system failed, or memory ran out.
  """
  try:
    return decode_photograph(_read(path), max_pixels)
  except errors.RunError as error:
    raise type(error)(f'{errors.in_one_line(path)}: {error}') from None


def decode_photograph(data: bytes, max_pixels: int = MAX_PIXELS) -> Photograph:
  """Reads a photograph from the bytes of its file.

  Args:
    data: contents of the file; for its format see `load_photograph`.
    max_pixels: see `load_photograph`.

  Raises:
    RunError: as for `load_photograph`, but the message does not name a file.
    DiskError: if memory ran out.
  """
  if not data:
    raise errors.RunError('an empty file; fetch it again.')
  if len(data) > MAX_BYTES:
    raise errors.RunError(f'more than {MAX_BYTES:,} bytes; scale it down.')
  notes = []
  formats = (*FORMATS, 'HEIF') if _has_heif() else FORMATS
  if data[4:8] == b'ftyp' and data[8:12] in HEIF_BRANDS and not _has_heif():
    raise errors.RunError(f'a HEIC photograph; {REMEDIES[".heic"]}.')
  for head, text in NO_PHOTOGRAPHS.items():
    if data[:64].lstrip().lower().startswith(head):
      raise errors.RunError(text)
  data = jpeg_end.complete(data, notes, max_pixels)
  with (
    _plain_errors(max_pixels),
    Image.open(io.BytesIO(data), formats=formats) as image,
  ):
    if isinstance(image, TiffImagePlugin.TiffImageFile):
      _seek_largest(image, notes)
      _refuse_raw(image)
    for width, height in _sizes(image):
      if width * height > max_pixels:
        raise errors.RunError(_too_large(f'{width} x {height}', max_pixels))
    _check_samples(image, notes)
    low_bytes.load(image, data)
    convert = to_srgb.eight_bits
    if image.mode.startswith('I'):
      low, high = np.array(image.getextrema() if image.mode == 'I' else (0, 0))
      if low < 0 or high > 65535:
        raise errors.RunError(
          '32-bit pixel values; save it with 16 bits per channel.'
        )
      convert = to_srgb.sixteen_bits
    rgb, alpha = convert(image, notes)
    if alpha is not None and not alpha.any():
      alpha = _alpha_of_invisible(image, alpha, notes)
    orientation = _orientation(image, notes)
    kept_metadata = metadata.extract(image, notes)
    # Counting frames comes last, because it moves Pillow past the first frame.
    if getattr(image, 'is_animated', False) and image.format != 'TIFF':
      notes.append(_note_on_frames(image))
  if alpha is not None:
    rgb = _without_hidden(rgb, alpha)
    upright = np.ascontiguousarray(to_srgb.turned(alpha, orientation))
    alpha = None if alpha.min() == 255 else upright
  if (rgb[..., :1] == rgb[..., 1:]).all():
    rgb = rgb[..., :1]
  rgb = np.ascontiguousarray(to_srgb.turned(rgb, orientation))
  return Photograph(rgb, alpha, tuple(notes), kept_metadata)


def _alpha_of_invisible(
  image: Image.Image, alpha: np.ndarray, notes: list[str]
) -> np.ndarray | None:
  """Returns the alpha to use for a picture whose alpha is 0 everywhere.

  For a BMP the result is None (opaque), because Windows leaves the fourth byte
  of a pixel at 0 and ignores it.
  """
  if image.format == 'BMP':
    return None
  notes.append('all of its pixels are transparent')
  return alpha


def _without_hidden(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
  """Replaces fully transparent pixels with white."""
  is_hidden = alpha == 0
  if is_hidden.any():
    rgb = np.array(rgb)
    rgb[is_hidden] = 255
  return rgb


def load_image(path: str | os.PathLike) -> np.ndarray:
  """Reads a photograph, and puts a transparent one on white.

  Returns:
    [H, W, 3] uint8.

  Raises:
    RunError, DiskError: see `load_photograph`.
  """
  photograph = load_photograph(path)
  rgb = to_srgb.over_white(photograph.rgb, photograph.alpha)
  return np.repeat(rgb, 3 // rgb.shape[-1], -1)


def open_file(path: str | os.PathLike) -> BinaryIO:
  """Opens a file for reading, without waiting if it is a FIFO."""

  def opener(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, 'O_NONBLOCK', 0))  # not on Windows

  return open(os.fspath(path), 'rb', opener=opener)


def _read(path: str | os.PathLike) -> bytes:
  """Reads a regular file, at most one byte more than is accepted."""
  try:
    with open_file(path) as file:
      status = os.fstat(file.fileno())
      if not stat.S_ISREG(status.st_mode):
        raise errors.RunError('not a regular file.')
      return file.read(MAX_BYTES + 1)
  except errors.RunError:
    raise
  except (OSError, ValueError) as error:  # ValueError if the name contains \0
    reason = getattr(error, 'strerror', None) or error
    is_file_error = getattr(error, 'errno', None) in (None, *FILE_ERRORS)
    kind = errors.RunError if is_file_error else errors.DiskError
    raise kind(f'cannot be read ({reason}).') from None


@contextlib.contextmanager
def _plain_errors(max_pixels: int) -> Iterator[None]:
  """Turns every exception that Pillow raises into a `RunError`.

  Args:
    max_pixels: limit to name in the message about a picture that is too large.
  """
  try:
    yield
  except errors.RunError:
    raise
  except UnidentifiedImageError:
    raise errors.RunError(
      'not a readable JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF; save it as PNG.'
    ) from None
  except Image.DecompressionBombError as error:
    count, *_ = re.findall(r'\d+', str(error))
    raise errors.RunError(_too_large(f'{int(count):,}', max_pixels)) from None
  except MemoryError:  # not a fault of the file, whose size was checked
    raise errors.DiskError('not enough memory to read it.') from None
  # On damaged files the decoders raise a dozen other exceptions, from
  # SyntaxError and struct.error to ZeroDivisionError.
  except Exception as error:
    reason = errors.in_one_line(error)[:80] or type(error).__name__
    raise errors.RunError(
      f'damaged ({reason}); save it again as PNG.'
    ) from None


def _too_large(size: str, max_pixels: int) -> str:
  return f'{size} pixels, more than the limit of {max_pixels:,}; scale it down.'


def _seek_largest(
  image: TiffImagePlugin.TiffImageFile, notes: list[str]
) -> None:
  """Moves to the largest page, because the first may be a thumbnail."""
  sizes = []
  with contextlib.suppress(Exception):  # a later page may be damaged
    for page in range(min(image.n_frames, MAX_PAGES)):
      image.seek(page)
      sizes.append(image.width * image.height)
  largest = int(np.argmax(sizes)) if sizes else 0
  image.seek(largest)
  if len(sizes) > 1:
    notes.append(f'page {largest + 1} of {len(sizes)}, the largest')


def _refuse_raw(image: TiffImagePlugin.TiffImageFile) -> None:
  """Refuses raw files, because Pillow would read only a preview."""
  tags = image.tag_v2
  is_preview = tags.get(SUBFILE_TYPE, 0) & REDUCED and SUB_IFDS in tags
  if is_preview or DNG_VERSION in tags:
    raise errors.RunError(
      'a raw photograph; only its preview could be read. Develop it and '
      'save it as TIFF or JPEG.'
    )


def _sizes(image: ImageFile.ImageFile) -> list[tuple[int, int]]:
  """Returns (width, height) of the picture and, for a TIFF file, of a tile.

  A tile may be larger than the picture.
  """
  if not isinstance(image, TiffImagePlugin.TiffImageFile):
    return [image.size]
  width, height = (image.tag_v2.get(tag, 1) for tag in TILE_SIZE)
  return [image.size, (width, height)]


def _check_samples(image: ImageFile.ImageFile, notes: list[str]) -> None:
  """Refuses pixel formats that Pillow misreads, and scales `transparency`.

  Pillow scales pixels to 0..255, but not the transparent value in `image.info`.
  A note is added if pixels are read with fewer bits than the file has.
  """
  if image.mode in ('F', 'LAB'):
    kind = {'F': 'floating-point values', 'LAB': 'Lab colours'}[image.mode]
    raise errors.RunError(
      f'{kind}; save it as RGB with 8 or 16 bits per channel.'
    )
  raw_mode = image.tile[0][3] if image.tile else None
  transparent = image.info.get('transparency')
  if image.format == 'PNG' and raw_mode in GREY_FACTORS:
    if isinstance(transparent, int):
      image.info['transparency'] = transparent * GREY_FACTORS[raw_mode]
  bits = 16 if ';16' in str(raw_mode) else 8
  is_in_planes = False
  if isinstance(image, TiffImagePlugin.TiffImageFile):
    is_in_planes = image.tag_v2.get(PLANAR_CONFIGURATION) == 2
    bits = max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
  if bits > 8 and not image.mode.startswith('I'):
    if isinstance(transparent, tuple):
      image.info['transparency'] = tuple(
        (value + 128) // 257 for value in transparent
      )
    elif is_in_planes:
      raise errors.RunError(
        '16-bit colours in separate planes; save it as PNG.'
      )
    notes.append('colours of 16 bits per channel read with 8')


def _orientation(image: Image.Image, notes: list[str]) -> int:
  try:
    return image.getexif().get(ORIENTATION, 1)
  except Exception:  # Pillow raises many kinds, see `_plain_errors`
    notes.append('damaged EXIF data ignored')
    return 1


def _note_on_frames(image: Image.Image) -> str:
  with contextlib.suppress(Exception):  # a later frame may be damaged
    if count := getattr(image, 'n_frames', None):
      return f'first of {count} frames'
  return 'first of several frames'


def save_image(
  path: str | os.PathLike,
  rgb: np.ndarray,
  alpha: np.ndarray | None = None,
  *,
  about: dict[str, Any] | None = None,
) -> None:
  """Writes a picture; the file appears whole or not at all.

  Args:
    path: path of the file, whose suffix is .png, .jpg, .jpeg or .webp. JPEG has
      quality 95 and full chroma resolution, and shows transparent pictures on
      white. WebP is lossless.
    rgb: [H, W, 3] or [H, W, 1] uint8.
    alpha: [H, W] uint8; None if all pixels are opaque.
    about: metadata to write, see `Photograph.metadata`.

  Raises:
    EncodingError: if the format cannot hold the picture.
    RunError: if the suffix is unknown, or the file cannot be written.
  """
  path = pathlib.Path(path)
  name, form = errors.in_one_line(path), WRITTEN.get(path.suffix.lower())
  if form is None:
    raise errors.RunError(f'{name}: unknown suffix; use .png, .jpg or .webp.')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file.writing(path) as temporary, open(temporary, 'xb') as file:
      encoding.write(file, form, rgb, alpha=alpha, about=about)
  except (OSError, ValueError) as error:  # ValueError if too large for WebP
    kind = errors.RunError if getattr(error, 'errno', None) else EncodingError
    reason = errors.in_one_line(getattr(error, 'strerror', None) or error)
    raise kind(f'{name}: cannot be written ({reason}).') from None
