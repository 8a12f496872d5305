"""Conversion of decoded files to sRGB and to 8 bits."""

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
    notes: extended by notes for the user.

  Returns:
    Levels [H, W, 1] and alpha [H, W], rounded to uint8; alpha may be None.
  """
  levels, alpha = np.asarray(image).astype(np.uint16), None
  if 'transparency' in image.info:
    visible = levels != image.info['transparency']
    alpha = np.where(visible, np.uint8(255), np.uint8(0))
  if image.format == 'TIFF':
    if image.tag_v2.get(BITS_PER_SAMPLE) == (12,):
      levels = np.round(levels * (65535 / 4095)).astype(np.uint16)
    # White is 0, which Pillow respects in pictures of up to 8 bits only.
    if image.tag_v2.get(PHOTOMETRIC) == 0:
      levels = 65535 - levels
  if profile := image.info.get('icc_profile'):
    try:
      if _space_of(profile) == SPACES['RGB']:  # equal channels under it
        return _under_rgb(to_8_bits(levels), profile), alpha
      transform = _transform(profile, 'GRAY', 'I;16')
      grey = transform.apply(Image.fromarray(levels)).getchannel('G')
      return np.asarray(grey)[..., None], alpha
    except errors.RunError as error:
      notes.append(str(error))
  if (curve := _gamma_curve(image, 65535, notes)) is not None:
    levels = curve[levels]
  return to_8_bits(levels)[..., None], alpha


def _under_rgb(grey: np.ndarray, icc: bytes) -> np.ndarray:
  """Applies a colour profile to grey levels [H, W]: [H, W, 1 or 3] uint8."""
  to_srgb = _to_srgb_fn(icc, 'RGB')
  if to_srgb is None:
    return grey[..., None]
  return np.asarray(to_srgb(Image.fromarray(grey).convert('RGB')))


def eight_bits(
  image: Image.Image, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
  """Reads a picture of any other mode, strip by strip.

  Args:
    image: as Pillow loaded it.
    notes: extended by notes for the user.

  Returns:
    Levels [H, W, 1] or [H, W, 3] in sRGB and alpha [H, W], both uint8; alpha
    may be None.
  """
  mode = 'CMYK' if image.mode == 'CMYK' else 'RGB'
  mode = 'L' if image.mode in ('1', 'L', 'LA', 'La') else mode
  to_srgb = None
  if (curve := _gamma_curve(image, 255, notes)) is not None:
    lut = curve.tolist()
    to_srgb = lambda part: part.point(lut * len(part.getbands()))  # noqa: E731
  if profile := image.info.get('icc_profile'):
    try:
      if mode == 'L' and _space_of(profile) == SPACES['RGB']:
        mode = 'RGB'  # equal channels under a profile of colours
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
  """Turns [H, W, ...] upright (EXIF 2.32, tag 0x0112)."""
  if orientation in (5, 6, 7, 8):
    array = array.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    array = array[::-1]
  if orientation in (2, 3, 6, 7):
    array = array[:, ::-1]
  return array


def over_white(levels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
  """Composites [H, W, C] with alpha [H, W], uint8, over white."""
  if alpha is None:
    return levels
  result = np.empty_like(levels)
  for rows in strips(*alpha.shape):
    part = alpha[rows, :, None].astype(np.uint32)
    result[rows] = (levels[rows] * part + 255 * (255 - part) + 127) // 255
  return result


def to_8_bits(levels: np.ndarray) -> np.ndarray:
  """Rounds uint16 [H, W, ...] to the nearest uint8."""
  result = np.empty(levels.shape, np.uint8)
  for rows in strips(*levels.shape[:2]):
    result[rows] = (levels[rows].astype(np.uint32) + 128) // 257
  return result


def _gamma_curve(
  image: Image.Image, top: int, notes: list[str]
) -> np.ndarray | None:
  """sRGB levels [top + 1] uint16 for a PNG with another gamma, else None.

  Only for gAMA alone: a profile or an sRGB chunk takes precedence (PNG, sec.
  13.13).
  """
  gamma = image.info.get('gamma')
  if image.format != 'PNG' or not gamma or 'srgb' in image.info:
    return None
  if 'icc_profile' in image.info or abs(gamma - 1 / 2.2) < 0.01:
    return None
  notes.append(f"applied the file's gamma of {gamma:g}")
  linear = np.linspace(0.0, 1.0, top + 1) ** (1.0 / gamma)
  encoded = np.where(
    linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear
  )
  return np.round(top * np.clip(encoded, 0.0, 1.0)).astype(np.uint16)


def strips(height: int, width: int) -> Iterator[slice]:
  """Yields slices of rows of about `STRIP_PIXELS`: bounded temporaries."""
  num_rows = max(1, STRIP_PIXELS // width)
  for top in range(0, height, num_rows):
    yield slice(top, min(top + num_rows, height))


def _to_srgb_fn(
  icc: bytes, mode: str
) -> Callable[[Image.Image], Image.Image] | None:
  """Returns the conversion of an embedded ICC profile to sRGB.

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


def _space_of(icc: bytes) -> str:
  try:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space
  except Exception:  # as in `_transform`
    return ''


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
