"""Reading of photographs, safely, and writing of pictures."""

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
from PIL import Image, UnidentifiedImageError

from pic_jax.images import encoding, jpeg_end, low_bytes, metadata, to_srgb
from pic_jax.runtime import errors, whole_file

FORMATS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF', 'AVIF')
SUFFIXES = tuple('.jpg .jpeg .png .webp .tif .tiff .bmp .gif .avif'.split())
HEIF_SUFFIXES = ('.heic', '.heif')
# Remedies for files that are not read.
REMEDIES = dict.fromkeys(HEIF_SUFFIXES, '`pip install pillow-heif` reads them')
WRITTEN = {'.png': 'PNG', '.jpg': 'JPEG', '.jpeg': 'JPEG', '.webp': 'WEBP'}
MAX_BYTES = 200_000_000
MAX_PIXELS = 64_000_000
MAX_PAGES = 100  # of a TIFF that are looked at
ORIENTATION = 0x0112  # EXIF tag
BITS_PER_SAMPLE, PLANES, TILE_SIZE = 258, 284, (322, 323)  # TIFF tags
KEY_SCALES = {'L;2': 85, 'L;4': 17}  # PNG of 2 and 4 bits

# What lies under a photograph's name instead of it.
NO_PHOTOGRAPHS = {
  b'version https://git-lfs': 'a pointer of Git LFS; fetch it: `git lfs pull`.',
  b'<!doctype html': 'a web page, no photograph; download it again.',
  b'<html': 'a web page, no photograph; download it again.',
}
HEIF_BRANDS = (b'heic', b'heix', b'hevc', b'heim', b'heis', b'mif1', b'msf1')
# What is wrong with a file or its name; other errors are the system's.
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

# Warnings of Pillow become errors or notes. `catch_warnings` is of no use:
# photographs are read in threads.
warnings.filterwarnings('ignore', module=r'PIL\.')
logging.getLogger('PIL').setLevel(logging.CRITICAL)
# libtiff prints to stderr; where that cannot be turned off, it may.
with contextlib.suppress(AttributeError):
  ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


class EncodingError(errors.RunError):
  """A picture that a format cannot hold."""


@dataclasses.dataclass(frozen=True)
class Photograph:
  """A photograph, upright and in sRGB.

  Attributes:
    rgb: [H, W, 3], or [H, W, 1] if it is grey, uint8; white where alpha is 0,
      whatever the file holds there.
    alpha: [H, W] uint8, or None if no pixel is transparent.
    notes: what a user should know, such as 'first of 12 frames'.
    metadata: description, author, dates, resolution; see `metadata.extract`.
  """

  rgb: np.ndarray
  alpha: np.ndarray | None
  notes: tuple[str, ...]
  metadata: dict[str, Any] = dataclasses.field(default_factory=dict)


@functools.cache
def _heif() -> bool:
  """Whether HEIC files are read, by an optional package."""
  try:
    import pillow_heif
  except ImportError:
    return False
  pillow_heif.register_heif_opener()
  return True


def suffixes() -> tuple[str, ...]:
  """Suffixes of the files that are read here."""
  return SUFFIXES + HEIF_SUFFIXES * _heif()


def load_photograph(
  path: str | os.PathLike, max_pixels: int = MAX_PIXELS
) -> Photograph:
  """Reads a photograph; whatever is in the file, only these errors are raised.

  Args:
    path: a regular JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF file of 1 byte to
      200 MB, whatever its suffix; HEIC, if pillow-heif is installed.
    max_pixels: the largest size; known before anything is decoded.

  Raises:
    RunError: there is no such file, or it is no photograph, damaged, too
      large, or of floating-point, 32-bit or Lab pixels.
    DiskError: the disk or the system failed.
  """
  try:
    return decode_photograph(_read(path), max_pixels)
  except errors.RunError as error:
    raise type(error)(f'{errors.in_one_line(path)}: {error}') from None


def decode_photograph(data: bytes, max_pixels: int = MAX_PIXELS) -> Photograph:
  """Reads a photograph that is in memory; see `load_photograph`.

  Raises:
    RunError: see there; the text names no file.
  """
  if not data:
    raise errors.RunError('an empty file; fetch it again.')
  if len(data) > MAX_BYTES:
    raise errors.RunError(f'more than {MAX_BYTES:,} bytes; scale it down.')
  notes = []
  formats = (*FORMATS, 'HEIF') if _heif() else FORMATS
  if data[4:8] == b'ftyp' and data[8:12] in HEIF_BRANDS and not _heif():
    raise errors.RunError(f'a HEIC photograph: {REMEDIES[".heic"]}.')
  for head, text in NO_PHOTOGRAPHS.items():
    if data[:64].lstrip().lower().startswith(head):
      raise errors.RunError(text)
  data = jpeg_end.complete(data, notes, MAX_PIXELS)
  with (
    _plain_errors(max_pixels),
    Image.open(io.BytesIO(data), formats=formats) as image,
  ):
    if image.format == 'TIFF':
      _seek_largest(image, notes)
    for width, height in _sizes(image):
      if width * height > max_pixels:
        raise errors.RunError(_too_large(f'{width} x {height}', max_pixels))
    _check_samples(image, notes)
    low_bytes.load(image, data)
    convert = to_srgb.eight_bits
    if image.mode.startswith('I'):
      low, high = image.getextrema() if image.mode == 'I' else (0, 0)
      if low < 0 or high > 65535:
        raise errors.RunError(
          '32-bit levels; save it with 16 bits per channel.'
        )
      convert = to_srgb.sixteen_bits
    rgb, alpha = convert(image, notes)
    turn = _orientation(image, notes)
    kept = metadata.extract(image, notes)
    # Last, since it moves a file of several frames away from the first.
    if getattr(image, 'is_animated', False) and image.format != 'TIFF':
      notes.append(_count_frames(image))
  if alpha is not None:
    rgb = _without_hidden(rgb, alpha)
    turned = np.ascontiguousarray(to_srgb.turned(alpha, turn))
    alpha = None if alpha.min() == 255 else turned
  if (rgb[..., :1] == rgb[..., 1:]).all():
    rgb = rgb[..., :1]
  rgb = np.ascontiguousarray(to_srgb.turned(rgb, turn))
  return Photograph(rgb, alpha, tuple(notes), kept)


def _without_hidden(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
  """Replaces fully transparent pixels by white."""
  hidden = alpha == 0
  if hidden.any():
    rgb = np.array(rgb)
    rgb[hidden] = 255
  return rgb


def load_image(path: str | os.PathLike) -> np.ndarray:
  """Reads a photograph as [H, W, 3] uint8, transparency over white.

  Raises:
    RunError: see `load_photograph`.
  """
  photograph = load_photograph(path)
  rgb = to_srgb.over_white(photograph.rgb, photograph.alpha)
  return np.repeat(rgb, 3 // rgb.shape[-1], -1)


def open_file(path: str | os.PathLike) -> BinaryIO:
  """Opens a file to read; a FIFO does not block."""

  def opener(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, 'O_NONBLOCK', 0))  # not on Windows

  return open(os.fspath(path), 'rb', opener=opener)


def _read(path: str | os.PathLike) -> bytes:
  try:
    with open_file(path) as file:
      status = os.fstat(file.fileno())
      if not stat.S_ISREG(status.st_mode):
        raise errors.RunError('not a regular file.')
      return file.read(MAX_BYTES + 1)
  except errors.RunError:
    raise
  except (OSError, ValueError) as error:  # ValueError: a null in the name
    reason = getattr(error, 'strerror', None) or error
    is_of_the_file = getattr(error, 'errno', None) in (None, *FILE_ERRORS)
    kind = errors.RunError if is_of_the_file else errors.DiskError
    raise kind(f'cannot be read ({reason}).') from None


@contextlib.contextmanager
def _plain_errors(max_pixels: int) -> Iterator[None]:
  """Turns exceptions of Pillow into a `RunError`."""
  try:
    yield
  except errors.RunError:
    raise
  except UnidentifiedImageError:
    raise errors.RunError(
      'no readable JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF; save it as PNG.'
    ) from None
  except Image.DecompressionBombError as error:
    count = int(re.search(r'\d+', str(error))[0])
    raise errors.RunError(_too_large(f'{count:,}', max_pixels)) from None
  # The decoders raise a dozen more kinds on damaged files, from SyntaxError
  # and struct.error to ZeroDivisionError and MemoryError.
  except Exception as error:
    reason = errors.in_one_line(error)[:80] or type(error).__name__
    raise errors.RunError(
      f'damaged ({reason}); save it again as PNG.'
    ) from None


def _too_large(size: str, max_pixels: int) -> str:
  return f'{size} pixels, more than the limit of {max_pixels:,}; scale it down.'


def _seek_largest(image: Image.Image, notes: list[str]) -> None:
  """Goes to the largest page: the first may be a thumbnail."""
  sizes = []
  with contextlib.suppress(Exception):  # a later page is damaged
    for page in range(min(image.n_frames, MAX_PAGES)):
      image.seek(page)
      sizes.append(image.width * image.height)
  largest = int(np.argmax(sizes)) if sizes else 0
  image.seek(largest)
  if len(sizes) > 1:
    notes.append(f'page {largest + 1} of {len(sizes)}, the largest')


def _sizes(image: Image.Image) -> list[tuple[int, int]]:
  """Size of the picture or its tiles, which may be larger in a TIFF."""
  if image.format != 'TIFF':
    return [image.size]
  return [image.size, tuple(image.tag_v2.get(tag, 1) for tag in TILE_SIZE)]


def _check_samples(image: Image.Image, notes: list[str]) -> None:
  """Refuses pixel formats that Pillow misreads; notes those it simplifies."""
  if image.mode in ('F', 'LAB'):
    kind = {'F': 'floating-point levels', 'LAB': 'Lab colours'}[image.mode]
    raise errors.RunError(
      f'{kind}; save it as RGB with 8 or 16 bits per channel.'
    )
  args = image.tile[0][3] if image.tile else None
  key = image.info.get('transparency')
  if image.format == 'PNG' and args in KEY_SCALES and isinstance(key, int):
    # Pillow scales these levels to 0..255, and forgets the transparent one.
    image.info['transparency'] = key * KEY_SCALES[args]
  bits = 16 if ';16' in str(args) else 8
  if image.format == 'TIFF':
    bits = max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
  if bits > 8 and not image.mode.startswith('I'):
    if isinstance(key, tuple):
      image.info['transparency'] = tuple((level + 128) // 257 for level in key)
    elif image.format == 'TIFF' and image.tag_v2.get(PLANES) == 2:
      raise errors.RunError(
        '16-bit colours in separate planes; save it as PNG.'
      )
    notes.append('colours of 16 bits per channel read with 8')


def _orientation(image: Image.Image, notes: list[str]) -> int:
  try:
    return image.getexif().get(ORIENTATION, 1)
  except Exception:  # of many kinds, as in `_plain_errors`
    notes.append('damaged EXIF data ignored')
    return 1


def _count_frames(image: Image.Image) -> str:
  with contextlib.suppress(Exception):  # a later frame is damaged
    return f'first of {image.n_frames} frames'
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
    path: .png, .jpg, .jpeg or .webp. JPEG (quality 95, full chroma) puts
      transparency over white; WebP is lossless.
    rgb: [H, W, 3] or [H, W, 1] uint8.
    alpha: [H, W] uint8, or None.
    about: `metadata` of a photograph.

  Raises:
    EncodingError: this picture has no file of this format.
    RunError: another suffix, or the file cannot be written.
  """
  path = pathlib.Path(path)
  name, form = errors.in_one_line(path), WRITTEN.get(path.suffix.lower())
  if form is None:
    raise errors.RunError(f'{name}: unknown suffix; use .png, .jpg or .webp.')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file.writing(path) as temporary, open(temporary, 'xb') as file:
      encoding.write(file, form, rgb, alpha=alpha, about=about)
  except (OSError, ValueError) as error:  # ValueError: too large for WebP
    kind = errors.RunError if getattr(error, 'errno', None) else EncodingError
    reason = errors.in_one_line(getattr(error, 'strerror', None) or error)
    raise kind(f'{name}: cannot be written ({reason}).') from None
