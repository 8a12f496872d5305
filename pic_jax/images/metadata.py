"""Metadata of photographs, such as date, author, description and resolution."""

import contextlib
from typing import Any

from PIL import ExifTags, Image, ImageFile

from pic_jax.images import captions

_BASE = ExifTags.Base
# EXIF tags that outputs keep. An EXIF block has main tags (IFD 0) and a nested
# block, the Exif IFD, with more tags. The orientation is not kept, because
# outputs are upright.
KEPT_MAIN_TAGS = (
  _BASE.ImageDescription,
  _BASE.Make,
  _BASE.Model,
  _BASE.DateTime,
  _BASE.Artist,
  _BASE.Copyright,
  # Tags written by Windows Explorer, in UTF-16.
  _BASE.XPTitle,
  _BASE.XPComment,
  _BASE.XPAuthor,
  _BASE.XPKeywords,
  _BASE.XPSubject,
)
KEPT_EXIF_IFD_TAGS = (
  _BASE.UserComment,
  _BASE.DateTimeOriginal,
  _BASE.DateTimeDigitized,
  _BASE.OffsetTimeOriginal,
)
# EXIF tags for the text chunks of a PNG, keyed by the keyword of the chunk.
PNG_TEXTS = {
  'Description': _BASE.ImageDescription,
  'Author': _BASE.Artist,
  'Copyright': _BASE.Copyright,
}
RESOLUTION = (_BASE.XResolution, _BASE.YResolution)
INCH, CENTIMETRE = 2, 3  # values of ResolutionUnit
MAX_BYTES = 65_533  # largest EXIF data in a JPEG


def extract(image: ImageFile.ImageFile, notes: list[str]) -> dict[str, Any]:
  """Extracts description, author, rights, camera, dates and resolution.

  Damaged metadata is ignored.

  Args:
    image: the photograph as loaded by Pillow.
    notes: list to which notes for the user are appended.

  Returns:
    Dict with the keys `exif` (bytes), `dpi` (horizontal and vertical dots per
    inch) and the keys that `captions.read` returns. A key is missing if the
    file does not have that metadata.
  """
  kept_exif = Image.Exif()
  entries: dict[str, Any] = captions.read(image, notes)
  with contextlib.suppress(Exception):  # damaged or missing
    entries['dpi'] = _dots_per_inch(image)
    kept_exif.update(zip(RESOLUTION, entries['dpi'], strict=True))
    kept_exif[_BASE.ResolutionUnit] = INCH
  with contextlib.suppress(Exception):
    exif = image.getexif()
    for name, tag in PNG_TEXTS.items():
      if isinstance(text := image.info.get(name), str):
        kept_exif[tag] = text.encode()
    kept_exif.update(
      {tag: _as_stored(exif[tag]) for tag in KEPT_MAIN_TAGS if tag in exif}
    )
    nested = exif.get_ifd(ExifTags.IFD.Exif)
    kept_nested: dict[int, Any] = {
      tag: nested[tag] for tag in KEPT_EXIF_IFD_TAGS if tag in nested
    }
    if kept_nested:
      kept_exif.get_ifd(ExifTags.IFD.Exif).update(kept_nested)
    has_tags = len(kept_exif) or kept_nested
    if has_tags and len(data := kept_exif.tobytes()) <= MAX_BYTES:
      entries['exif'] = data
  return entries


def _as_stored(value: Any) -> Any:
  """Returns text as its original bytes.

  Pillow decodes EXIF text as Latin-1 but would write it as ASCII. Values that
  are not text are returned unchanged.
  """
  return value.encode('latin-1') if isinstance(value, str) else value


def _dots_per_inch(image: Image.Image) -> tuple[float, float]:
  """Returns horizontal and vertical resolution in dots per inch.

  Raises:
    Exception: if the resolution is missing or impossible. The type is not
      specified, so the caller catches all exceptions.
  """
  # For a JPEG whose header has no resolution, Pillow reports 72 dots per inch.
  # EXIF may have the true resolution.
  is_jpeg = image.format in ('JPEG', 'MPO')
  is_invented = is_jpeg and not image.info.get('jfif_unit')
  if 'dpi' in image.info and not is_invented:
    across, down = map(float, image.info['dpi'])
  else:
    exif = image.getexif()
    unit = 2.54 if exif[_BASE.ResolutionUnit] == CENTIMETRE else 1.0
    across, down = (unit * float(exif[tag]) for tag in RESOLUTION)
  if not (1 < across < 1e6 and 1 < down < 1e6):  # also refuses NaN
    raise ValueError
  return across, down
