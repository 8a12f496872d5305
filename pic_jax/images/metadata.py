"""What a photograph says of itself, besides its pixels."""

import contextlib
from typing import Any

from PIL import ExifTags, Image

_BASE = ExifTags.Base
# What is kept; the orientation is not, since outputs are upright.
KEPT = (
  _BASE.ImageDescription,
  _BASE.Make,
  _BASE.Model,
  _BASE.DateTime,
  _BASE.Artist,
  _BASE.Copyright,
)
KEPT_OF_EXIF = (
  _BASE.DateTimeOriginal,
  _BASE.DateTimeDigitized,
  _BASE.OffsetTimeOriginal,
)
# Where PNG files have the same as text.
PNG_TEXTS = {
  'Description': _BASE.ImageDescription,
  'Author': _BASE.Artist,
  'Copyright': _BASE.Copyright,
}


def of(image: Image.Image) -> dict[str, Any]:
  """Description, author, rights, camera, dates and resolution of a picture.

  Returns:
    Arguments of `Image.save`: `exif` and `dpi`, as far as there are such.
  """
  kept = Image.Exif()
  found: dict[str, Any] = {}
  with contextlib.suppress(Exception):  # damaged: as if there were none
    exif = image.getexif()
    for name, tag in PNG_TEXTS.items():
      if isinstance(text := image.info.get(name), str):
        kept[tag] = text
    kept.update({tag: exif[tag] for tag in KEPT if tag in exif})
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    dates = {tag: inner[tag] for tag in KEPT_OF_EXIF if tag in inner}
    if dates:
      kept.get_ifd(ExifTags.IFD.Exif).update(dates)
    if len(kept) or dates:
      found['exif'] = kept.tobytes()
  with contextlib.suppress(TypeError, ValueError):
    across, down = (float(x) for x in image.info.get('dpi', ()))
    if across > 1 and down > 1:
      found['dpi'] = (across, down)
  return found
