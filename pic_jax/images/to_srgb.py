"""Conversion of images loaded by Pillow to sRGB and to 8 bits."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

from pic_jax.runtime import errors

STRIP_PIXELS = 1 << 20
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # TIFF tags
# ICC's names of colour spaces, keyed by Pillow's names of modes.
SPACES = {'L': 'GRAY', 'RGB': 'RGB ', 'CMYK': 'CMYK'}
SRGB = ImageCms.createProfile('sRGB')


def sixteen_bits(
  image: Image.Image, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
  """Reads a picture with 16-bit grey values, in one of Pillow's `I` modes.

  Args:
    image: the picture as loaded by Pillow.
    notes: list to which notes for the user are appended.

  Returns:
    [H, W, 1] uint8 grey values in sRGB, or [H, W, 3] uint8 if a colour profile
    tints them; and alpha [H, W] uint8, None if there is none.
  """
  values, alpha = np.asarray(image).astype(np.uint16), None
  if 'transparency' in image.info:
    visible = values != image.info['transparency']
    alpha = np.where(visible, np.uint8(255), np.uint8(0))
  if isinstance(image, TiffImagePlugin.TiffImageFile):
    if image.tag_v2.get(BITS_PER_SAMPLE) == (12,):
      values = np.round(values * (65535 / 4095)).astype(np.uint16)
    is_white_zero = image.tag_v2.get(PHOTOMETRIC) == 0
    if is_white_zero:  # Pillow inverts these values only up to 8 bits per value
      values = 65535 - values
  if profile := image.info.get('icc_profile'):
    try:
      if _space_of(profile) == SPACES['RGB']:  # three equal channels
        return _convert_grey(to_8_bits(values), profile), alpha
      transform = _transform(profile, 'GRAY', 'I;16')
      grey = transform.apply(Image.fromarray(values)).getchannel('G')
      return np.asarray(grey)[..., None], alpha
    except errors.RunError as error:
      notes.append(str(error))
  if (curve := _gamma_curve(image, 65535, notes)) is not None:
    values = curve[values]
  return to_8_bits(values)[..., None], alpha


def _convert_grey(grey: np.ndarray, icc: bytes) -> np.ndarray:
  """Converts grey values from the space of an RGB profile to sRGB.

  Args:
    grey: [H, W] uint8, the value of all three channels.
    icc: the profile.

  Returns:
    [H, W, 3] uint8, or [H, W, 1] uint8 if the profile describes sRGB.
  """
  to_srgb = _to_srgb_fn(icc, 'RGB')
  if to_srgb is None:
    return grey[..., None]
  return np.asarray(to_srgb(Image.fromarray(grey).convert('RGB')))


def eight_bits(
  image: Image.Image, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
  """Reads a picture of any mode except the `I` modes, strip by strip.

  Args:
    image: the picture as loaded by Pillow.
    notes: list to which notes for the user are appended.

  Returns:
    [H, W, 1] or [H, W, 3] uint8 in sRGB; and alpha [H, W] uint8, None if there
    is none.
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
        mode = 'RGB'  # three equal channels, as the profile requires
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
  """Turns a picture upright.

  Args:
    array: [H, W, ...] pixels as stored in the file.
    orientation: value 1 to 8 of the EXIF tag 0x0112 (EXIF 2.32).
  """
  if orientation in (5, 6, 7, 8):
    array = array.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    array = array[::-1]
  if orientation in (2, 3, 6, 7):
    array = array[:, ::-1]
  return array


def over_white(values: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
  """Puts a transparent picture on white.

  Args:
    values: [H, W, C] uint8.
    alpha: [H, W] uint8; None if all pixels are opaque.

  Returns:
    [H, W, C] uint8.
  """
  if alpha is None:
    return values
  result = np.empty_like(values)
  for rows in strips(*alpha.shape):
    a = alpha[rows, :, None].astype(np.uint32)
    result[rows] = (values[rows] * a + 255 * (255 - a) + 127) // 255
  return result


def to_8_bits(values: np.ndarray) -> np.ndarray:
  """Rounds 16-bit values [H, W, ...] in 0..65535 to uint8."""
  result = np.empty(values.shape, np.uint8)
  for rows in strips(*values.shape[:2]):
    result[rows] = (values[rows].astype(np.uint32) + 128) // 257
  return result


def _gamma_curve(
  image: Image.Image, max_value: int, notes: list[str]
) -> np.ndarray | None:
  """Builds a table that converts pixel values from a PNG's gamma to sRGB.

  A colour profile or an sRGB chunk takes precedence over gamma (PNG, sec.
  13.13).

  Args:
    image: the picture as loaded by Pillow.
    max_value: largest value of a pixel.
    notes: list to which a note for the user may be appended.

  Returns:
    [max_value + 1] uint16; None if nothing has to be converted.
  """
  gamma = image.info.get('gamma')
  if image.format != 'PNG' or not gamma or 'srgb' in image.info:
    return None
  if 'icc_profile' in image.info or abs(gamma - 1 / 2.2) < 0.01:
    return None
  notes.append(f"applied the file's gamma of {gamma:g}")
  linear = np.linspace(0.0, 1.0, max_value + 1) ** (1.0 / gamma)
  encoded = np.where(
    linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear
  )
  return np.round(max_value * np.clip(encoded, 0.0, 1.0)).astype(np.uint16)


def strips(height: int, width: int) -> Iterator[slice]:
  """Yields slices of rows that have about `STRIP_PIXELS` pixels each.

  Work on one strip after another keeps temporary arrays small.
  """
  num_rows = max(1, STRIP_PIXELS // width)
  for top in range(0, height, num_rows):
    yield slice(top, min(top + num_rows, height))


def _to_srgb_fn(
  icc: bytes, mode: str
) -> Callable[[Image.Image], Image.Image] | None:
  """Returns a function that converts from the space of an ICC profile to sRGB.

  Args:
    icc: the profile as stored in the file.
    mode: Pillow mode of the pictures: 'L', 'RGB' or 'CMYK'.

  Returns:
    A function from pictures of this mode to pictures of mode 'RGB', or 'L' if
    `mode` is 'L'. None for an RGB profile that is a variant of sRGB, which
    changes no value by more than 1.

  Raises:
    RunError: if the profile is damaged or belongs to another colour space.
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
  """Returns the colour space of a profile, '' if it is damaged."""
  try:
    return _open(icc)[1]
  except Exception:  # as in `_transform`
    return ''


def _open(icc: bytes) -> tuple[ImageCms.ImageCmsProfile, str]:
  """Opens a colour profile; also returns its colour space, '' if unknown."""
  profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
  return profile, getattr(profile.profile, 'xcolor_space', '')


def _transform(icc: bytes, space: str, mode: str) -> ImageCms.ImageCmsTransform:
  """Builds the transform from a profile to sRGB.

  It is relative colorimetric with black point compensation.

  Args:
    icc: the profile as stored in the file.
    space: colour space that the profile must have, one of `SPACES`.
    mode: Pillow mode of the pictures.

  Raises:
    RunError: if the profile is damaged or belongs to another colour space.
  """
  # Damaged profiles raise OSError, TypeError, ValueError and more.
  try:
    profile, actual_space = _open(icc)
    if actual_space == space:
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
    f'colour profile of another space ({actual_space.strip()!a}) ignored'
  )
