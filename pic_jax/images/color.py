"""Colour conversion, 8-bit luminance and chroma subsampling.

See sec. 3.1 and 3.3 of the paper. sRGB <-> CIE Lab (D65, 2 degree observer) is
defined as in scikit-image. All code is float32 jax.numpy, for use inside and
outside compiled programs.
"""

from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

WHITE_D65 = np.array([0.95047, 1.0, 1.08883])  # XYZ, for the 2 degree observer
# IEC 61966-2-1 matrix from linear sRGB to XYZ, normalised so that D65 white is
# (1, 1, 1).
RGB_TO_XYZ = (
  np.array(
    [
      [0.412453, 0.357580, 0.180423],
      [0.212671, 0.715160, 0.072169],
      [0.019334, 0.119193, 0.950227],
    ]
  )
  / WHITE_D65[:, None]
)
XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)
# CIE 15: below CUBE_ROOT_MIN a straight line replaces the cube root.
CUBE_ROOT_MIN = 0.008856
CUBE_ROOT_SLOPE = 7.787
CUBE_ROOT_OFFSET = 16.0 / 116.0

CHROMA_FILTERS = ('point', 'area')
# Ranges of the integers a and b (paper sec. 3.1).
CHROMA_MIN = np.array([-127.0, -128.0], np.float32)
CHROMA_MAX = np.array([128.0, 127.0], np.float32)


def _apply_matrix(matrix: np.ndarray, x: jax.Array) -> jax.Array:
  # On TPU the default precision of a matrix product is bfloat16.
  return jnp.einsum(
    'ij,...j->...i', matrix.astype(np.float32), x, precision='highest'
  )


def rgb_to_lab(rgb: jax.Array | np.ndarray) -> jax.Array:
  """Converts sRGB to CIE Lab.

  Args:
    rgb: [..., 3] uint8.

  Returns:
    [..., 3] float32: L in 0..100, a and b in Lab units.
  """
  rgb = jnp.asarray(rgb)
  if rgb.dtype != jnp.uint8:
    raise ValueError(f'`rgb` must be uint8, got {rgb.dtype}.')
  rgb = rgb.astype(jnp.float32) / 255
  linear = jnp.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
  xyz = _apply_matrix(RGB_TO_XYZ, linear)
  f = jnp.where(
    xyz > CUBE_ROOT_MIN,
    jnp.cbrt(xyz),
    CUBE_ROOT_SLOPE * xyz + CUBE_ROOT_OFFSET,
  )
  x, y, z = f[..., 0], f[..., 1], f[..., 2]
  return jnp.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], -1)


def _lab_to_linear(lab: jax.Array) -> jax.Array:
  """Converts Lab to linear sRGB.

  Args:
    lab: [..., 3] in Lab units.

  Returns:
    [..., 3] float32, with values outside [0, 1] for colours outside sRGB.
  """
  lab = jnp.asarray(lab, jnp.float32)
  y = (lab[..., 0] + 16.0) / 116.0
  # z would be negative for a dark colour with a large b. scikit-image also
  # clips z to 0.
  z = jnp.maximum(y - lab[..., 2] / 200.0, 0.0)
  f = jnp.stack([y + lab[..., 1] / 500.0, y, z], -1)
  cube_root_min = CUBE_ROOT_SLOPE * CUBE_ROOT_MIN + CUBE_ROOT_OFFSET
  xyz = jnp.where(
    f > cube_root_min, f**3, (f - CUBE_ROOT_OFFSET) / CUBE_ROOT_SLOPE
  )
  return _apply_matrix(XYZ_TO_RGB, xyz)


def is_in_gamut(lab: jax.Array) -> jax.Array:
  """Tests which colours can be shown in sRGB.

  Args:
    lab: [..., 3] in Lab units.

  Returns:
    [...] bool.
  """
  linear = _lab_to_linear(lab)
  # A third of the smallest step of 8-bit sRGB, from black to the next value, in
  # linear sRGB.
  tolerance = 1e-4
  return ((linear > -tolerance) & (linear < 1.0 + tolerance)).all(-1)


def lab_to_rgb(lab: jax.Array) -> jax.Array:
  """Converts CIE Lab to sRGB, clipped to the gamut and rounded.

  Args:
    lab: [..., 3] float32 in Lab units.

  Returns:
    [..., 3] uint8.
  """
  linear = jnp.clip(_lab_to_linear(lab), 0.0, 1.0)
  rgb = jnp.where(
    linear > 0.0031308,
    1.055 * linear ** (1.0 / 2.4) - 0.055,
    12.92 * linear,
  )
  return jnp.round(255 * rgb).astype(jnp.uint8)


def eight_bit_luminance(luminance: jax.Array) -> jax.Array:
  """Rounds L to the grey values of an 8-bit image, round(2.55 L) / 2.55.

  Nearly every sRGB colour has its own float32 L, so unrounded L would give away
  the colour to be predicted.

  Args:
    luminance: [...] float32, L in 0..100.

  Returns:
    [...] float32, at most 256 values in 0..100.
  """
  return jnp.round(2.55 * luminance) / 2.55


def luminance_to_network(luminance: jax.Array) -> jax.Array:
  """Maps L [...] in 0..100 to network units in [-1, 1]."""
  return (luminance - 50.0) / 50.0


def luminance_from_network(luminance: jax.Array) -> jax.Array:
  """Maps luminance [...] in network units to L in 0..100."""
  return 50.0 * luminance + 50.0


def _chroma_offset(ndim: int) -> jax.Array:
  return jnp.array([-0.5, 0.5]).reshape((1,) * (ndim - 1) + (2,))


def chroma_to_network(chroma: jax.Array) -> jax.Array:
  """Maps (a, b) [..., 2] in Lab units to ((a - 0.5), (b + 0.5)) / 127.5."""
  # Multiply instead of dividing: under `jit`, XLA may turn a division into a
  # multiplication, which rounds differently.
  return (chroma + _chroma_offset(chroma.ndim)) * (1.0 / 127.5)


def chroma_from_network(chroma: jax.Array) -> jax.Array:
  """Maps (a, b) [..., 2] in network units to Lab units."""
  return 127.5 * chroma - _chroma_offset(chroma.ndim)


def round_chroma(chroma: jax.Array) -> jax.Array:
  """Rounds (a, b) [..., 2] in Lab units to one of 256 x 256 integer pairs."""
  shape = (1,) * (chroma.ndim - 1) + (2,)
  return jnp.clip(
    jnp.round(chroma), CHROMA_MIN.reshape(shape), CHROMA_MAX.reshape(shape)
  )


def check_filter(chroma_filter: str) -> None:
  """Checks the name of a filter.

  Raises:
    ValueError: if the name is not in `CHROMA_FILTERS`.
  """
  if chroma_filter not in CHROMA_FILTERS:
    raise ValueError(
      f'`chroma_filter` must be one of {CHROMA_FILTERS}, got {chroma_filter!r}.'
    )


@overload
def subsample(x: jax.Array, factor: int, chroma_filter: str) -> jax.Array: ...
@overload
def subsample(x: np.ndarray, factor: int, chroma_filter: str) -> np.ndarray: ...
def subsample(x: Any, factor: int, chroma_filter: str) -> Any:
  """Reduces the resolution (paper sec. 3.3, "Spatial chromatic subsampling").

  Args:
    x: [B, H, W, C], any unit; H and W must be multiples of `factor`.
    factor: side of the square of pixels that becomes one value.
    chroma_filter: 'point' keeps x[:, ::factor, ::factor], as the paper does for
      its numbers; 'area' takes the mean of each square.

  Returns:
    [B, H / factor, W / factor, C].

  Raises:
    ValueError: if the filter is unknown, or H or W is not a multiple of
      `factor`.
  """
  check_filter(chroma_filter)
  batch, height, width, channels = x.shape
  if height % factor or width % factor:
    raise ValueError(
      f'Image sides must be multiples of the factor, got {height} x {width} '
      f'and {factor}.'
    )
  if chroma_filter == 'point':
    return x[:, ::factor, ::factor]
  squares = x.reshape(
    batch, height // factor, factor, width // factor, factor, channels
  )
  return squares.mean((2, 4))


def _interpolation_matrix(
  size: int, factor: int, chroma_filter: str
) -> np.ndarray:
  """Returns weights [size * factor, size] for linear interpolation.

  Positions beyond the outermost values take the nearest value.
  """
  origin = 0.0 if chroma_filter == 'point' else (factor - 1) / 2
  position = (np.arange(size * factor) - origin) / factor
  position = np.clip(position, 0, size - 1)[:, None]
  return np.maximum(0.0, 1.0 - np.abs(position - np.arange(size)[None])).astype(
    np.float32
  )


def upsample(x: jax.Array, factor: int, chroma_filter: str) -> jax.Array:
  """Upsamples maps by linear interpolation.

  *Differs from* the authors' code, whose upsampled chroma is shifted by up to
  factor - 1 pixels at the right and bottom edges.

  Args:
    x: [B, h, w, C], any unit.
    factor: number of output pixels per value of `x` in each direction.
    chroma_filter: filter that made `x`. It determines the position of a value
      in its square of pixels: the first pixel for 'point', and the centre for
      'area'.

  Returns:
    [B, h * factor, w * factor, C].
  """
  check_filter(chroma_filter)
  return jnp.einsum(
    'Hh,Ww,bhwc->bHWc',
    _interpolation_matrix(x.shape[1], factor, chroma_filter),
    _interpolation_matrix(x.shape[2], factor, chroma_filter),
    x,
    precision='highest',
  )
