"""JPEG files whose end is missing, as an interrupted copy leaves them."""

import hashlib
import io

from PIL import Image

from pic_jax.runtime import errors

# The mark of the end, and bytes that decode to something and hold no mark.
END, NOISES = b'\xff\xd9', (b'\x55' * 4096, b'\xfe' * 4096)


def _has_end(data: bytes) -> bool:
  """Whether a mark of the end follows the pixels of a JPEG; True if unsure."""
  place = 2
  while data[place : place + 1] == b'\xff':
    marker = data[place + 1 : place + 2]
    if marker == b'\xda':  # the scan begins: no mark stands inside by chance
      return data.find(END, place) >= 0
    # A segment, such as EXIF with its thumbnail, tells its length.
    place += 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
  return True


def complete(data: bytes, notes: list[str], max_pixels: int) -> bytes:
  """Appends the mark of its end to a JPEG that lacks nothing else.

  All pixels are there if what follows the data does not change them: a decoder
  that misses some would take them from whatever follows.

  Args:
    data: of any file.
    notes: what a user should know is added to them.
    max_pixels: larger pictures are returned unchanged.

  Raises:
    RunError: some pixels are missing, which Pillow does not always notice.
  """
  if data[:2] != b'\xff\xd8' or _has_end(data):
    return data
  begun = data.rstrip(b'\xff')
  # An interrupted copy may have left zeros in place of the rest.
  surely = data.rstrip(b'\0').rstrip(b'\xff')
  pixels = set()
  try:
    for part in (begun, *(surely + noise for noise in NOISES)):
      file = io.BytesIO(part + END)
      with Image.open(file, formats=('JPEG',)) as image:
        if image.width * image.height > max_pixels:
          return data
        pixels.add(hashlib.sha256(image.tobytes()).digest())
  except Exception:  # of many kinds: it is damaged in another way
    return data
  if len(pixels) > 1:
    raise errors.RunError(
      'damaged (its end is missing, and pixels with it); fetch it again.'
    )
  notes.append('its last two bytes are missing, all pixels are there')
  return begun + END
