"""Repair of JPEG files without an end marker, as after an interrupted copy."""

import hashlib
import io

from PIL import Image

from pic_jax.runtime import errors

END = b'\xff\xd9'  # the marker EOI
# Bytes that a decoder can read as pixels and that contain no marker.
FILLERS = (b'\x55' * 4096, b'\xfe' * 4096)


def _has_end(data: bytes) -> bool:
  """Tests whether an end marker follows the pixels of a JPEG.

  Returns:
    True if an end marker follows, or if the structure of the file is not
    understood.
  """
  offset = 2
  while data[offset : offset + 1] == b'\xff':
    marker = data[offset + 1 : offset + 2]
    if marker == b'\xda':  # start of the pixels, which cannot contain `END`
      return data.find(END, offset) >= 0
    # Skips a segment. An EXIF segment may contain `END` in its thumbnail.
    offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], 'big')
  return True


def complete(data: bytes, notes: list[str], max_pixels: int) -> bytes:
  """Appends the end marker to a JPEG file that lacks only this marker.

  To test whether all pixels are there, the file is decoded with different bytes
  appended. If pixels are missing, the decoder makes them from these bytes, so
  the pictures differ.

  Args:
    data: contents of a file of any format.
    notes: list to which a note for the user may be appended.
    max_pixels: number of pixels of the largest picture that is tested; larger
      pictures are returned unchanged.

  Returns:
    Contents of the complete file; `data` itself if it is not a JPEG file that
    lacks only this marker.

  Raises:
    RunError: if pixels are missing, which Pillow does not always notice.
  """
  if data[:2] != b'\xff\xd8' or _has_end(data):
    return data
  without_marker = data.rstrip(b'\xff')  # half of the marker may be there
  # An interrupted copy may have zeros in place of missing bytes.
  without_zeros = data.rstrip(b'\0').rstrip(b'\xff')
  digests = set()
  try:
    for part in (without_marker, *(without_zeros + x for x in FILLERS)):
      file = io.BytesIO(part + END)
      with Image.open(file, formats=('JPEG',)) as image:
        if image.width * image.height > max_pixels:
          return data
        digests.add(hashlib.sha256(image.tobytes()).digest())
  except Exception:  # Pillow raises many kinds for other damage
    return data
  if len(digests) > 1:
    raise errors.RunError(
      'damaged (its end, with some pixels, is missing); fetch it again.'
    )
  notes.append('its last two bytes are missing, but all pixels are there')
  return without_marker + END
