"""From decoded files to levels in sRGB, and from those to 8 bits."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageCms

from pic_jax.runtime import errors

STRIP_PIXELS = 1 << 20
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # TIFF tags
SPACES = {'L': 'GRAY', 'RGB': 'RGB ', 'CMYK': 'CMYK'}  # of ICC, by mode
SRGB = ImageCms.createProfile('sRGB')


def sixteen_bits(
  image: Image.Image, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
  """Reads a grey picture of one of Pillow's `I` modes, levels 0..65535.

  Args:
    image: as Pillow loaded it.
    notes: is extended by what a user should know.

  Returns:
    Levels [H, W, 1] and alpha [H, W], both uint16; alpha may be None.
  """
  levels, alpha = np.asarray(image).astype(np.uint16), None
  if 'transparency' in image.info:
    visible = levels != image.info['transparency']
    alpha = np.where(visible, np.uint16(65535), np.uint16(0))
  if image.format == 'TIFF':
    if image.tag_v2.get(BITS_PER_SAMPLE) == (12,):
      levels = np.round(levels * (65535 / 4095)).astype(np.uint16)
    # White is 0, which Pillow heeds in pictures of up to 8 bits only.
    if image.tag_v2.get(PHOTOMETRIC) == 0:
      levels = 65535 - levels
  if profile := image.info.get('icc_profile'):
    try:
      levels = _grey_levels(profile)[levels]
    except errors.RunError as error:
      notes.append(str(error))
  return levels[..., None], alpha


def eight_bits(
  image: Image.Image, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
  """Reads a picture of any other mode, strip by strip.

  Args:
    image: as Pillow loaded it.
    notes: is extended by what a user should know.

  Returns:
    Levels [H, W, 1] or [H, W, 3] in sRGB and alpha [H, W], both uint8; alpha
    may be None.
  """
  mode = 'CMYK' if image.mode == 'CMYK' else 'RGB'
  mode = 'L' if image.mode in ('1', 'L', 'LA', 'La') else mode
  to_srgb = None
  if profile := image.info.get('icc_profile'):
    try:
      to_srgb = _to_srgb_fn(profile, mode)
    except errors.RunError as error:
      notes.append(str(error))
  if mode == 'CMYK' and to_srgb is None:
    notes.append('inks without a colour profile: colours are approximate')
  shape = (image.height, image.width)
  rgb = np.empty((*shape, 1 if mode == 'L' else 3), np.uint8)
  alpha = np.empty(shape, np.uint8) if image.has_transparency_data else None
  for rows in strips(*shape):
    part = image.crop((0, rows.start, image.width, rows.stop))
    if alpha is not None:
      part = part.convert('LA' if mode == 'L' else 'RGBA')
      alpha[rows] = np.asarray(part.getchannel('A'))
    part = part.convert(mode)
    if to_srgb is not None:
      part = to_srgb(part)
    elif mode == 'CMYK':
      part = part.convert('RGB')
    rgb[rows] = np.asarray(part).reshape(rgb[rows].shape)
  return rgb, alpha


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
  """Turns [H, W, ...] upright (EXIF 2.32, tag 0x0112); other values: as is."""
  if orientation in (5, 6, 7, 8):
    array = array.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    array = array[::-1]
  if orientation in (2, 3, 6, 7):
    array = array[:, ::-1]
  return array


def over_white(levels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
  """Puts [H, W, C] with alpha [H, W] over white, rounded to nearest."""
  if alpha is None:
    return levels
  top = np.iinfo(levels.dtype).max
  result = np.empty_like(levels)
  for rows in strips(*alpha.shape):
    # 65535 * 65535 + 32767 still fits into 32 bits.
    part = alpha[rows, :, None].astype(np.uint32)
    part = (levels[rows] * part + top * (top - part) + top // 2) // top
    result[rows] = part
  return result


def to_8_bits(levels: np.ndarray) -> np.ndarray:
  """Rounds uint16 [H, W, ...] to the nearest uint8."""
  if levels.dtype == np.uint8:
    return levels
  result = np.empty(levels.shape, np.uint8)
  for rows in strips(*levels.shape[:2]):
    result[rows] = (levels[rows].astype(np.uint32) + 128) // 257
  return result


def strips(height: int, width: int) -> Iterator[slice]:
  """Yields slices of rows of about `STRIP_PIXELS`: bounded temporaries."""
  num_rows = max(1, STRIP_PIXELS // width)
  for top in range(0, height, num_rows):
    yield slice(top, min(top + num_rows, height))


def _to_srgb_fn(
  icc: bytes, mode: str
) -> Callable[[Image.Image], Image.Image] | None:
  """Returns the conversion that an embedded ICC profile asks for.

  Args:
    icc: the profile as it stands in the file.
    mode: 'L', 'RGB' or 'CMYK'.

  Returns:
    A function from pictures of this mode to 'RGB' (from 'L' to 'L'), or None
    if the profile moves no colour by more than one level: sRGB, in all its
    variants.

  Raises:
    RunError: the profile is damaged or of another colour space.
  """
  transform = _transform(icc, SPACES[mode], mode)
  if mode == 'L':
    return lambda image: transform.apply(image).getchannel('G')
  if mode == 'RGB':
    axis = np.linspace(0, 255, 18).astype(np.uint8)
    cube = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(18, -1, 3)
    moved = np.asarray(transform.apply(Image.fromarray(cube)))
    if np.abs(moved.astype(int) - cube).max() <= 1:
      return None
  return transform.apply


def _grey_levels(icc: bytes) -> np.ndarray:
  """Returns [65536] uint16: the sRGB level of every 16-bit level of a file.

  Pillow has no 16-bit RGB to convert into. Where the 8-bit result is v, the
  middle of the levels that give v stands for v exactly; between, linear.

  Raises:
    RunError: the profile is damaged, not of grey, or not increasing.
  """
  transform = _transform(icc, 'GRAY', 'I;16')
  levels = np.arange(65536, dtype=np.uint16)
  moved = transform.apply(Image.fromarray(levels[None])).getchannel('G')
  moved = np.asarray(moved)[0].astype(np.float64)
  if (np.diff(moved) < 0).any() or moved[0] == moved[-1]:
    raise errors.RunError('damaged colour profile ignored')
  values, first = np.unique(moved, return_index=True)
  middle = (first + np.append(first[1:], 65536) - 1) / 2
  middle[[0, -1]] = 0, 65535
  return np.interp(levels, middle, values * 257).round().astype(np.uint16)


def _transform(icc: bytes, space: str, mode: str) -> ImageCms.ImageCmsTransform:
  """From the profile to sRGB, relative colorimetric, black to black."""
  # Damaged profiles raise OSError, TypeError, ValueError and more.
  try:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    found = profile.profile.xcolor_space
    if found == space:
      return ImageCms.buildTransform(
        profile,
        SRGB,
        mode,
        'RGB',
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
      )
  except Exception:
    raise errors.RunError('damaged colour profile ignored') from None
  raise errors.RunError(
    f'colour profile of another space ({found.strip()!a}) ignored'
  )
