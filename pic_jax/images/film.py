"""Simulation of old film and scanners.

Most grey photographs are old. They show grain, blur, fading and a tone curve,
and old film was hardly sensitive to red. `random_film` is an augmentation for
training, and `FIXED` has eight films for evaluation.

In `random_film`, the sizes of blur and grain refer to a picture whose short
side has 256 pixels. They are scaled to the actual picture.

In this file, `luminance` is L (0..100). A linear intensity (CIE Y) is called
`intensity`.
"""

import functools
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color
from pic_jax.runtime import errors

# Sensitivities of films to linear red, green and blue.
PANCHROMATIC = tuple(color.RGB_TO_XYZ[1])  # as CIE Y
ORTHOCHROMATIC = (0.03, 0.55, 0.42)
BLUE_SENSITIVE = (0.0, 0.1, 0.9)
REFERENCE_SIDE = 256
RADIUS = 6  # a blur reaches this many pixels to each side
# JPEG's luminance quantisation table at quality 50 (ITU T.81, annex K.1).
JPEG_TABLE = np.array(
  [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
  ],
  np.float32,
)


def linear_rgb(rgb: jax.Array) -> jax.Array:
  """Converts sRGB to linear sRGB.

  Args:
    rgb: [..., 3] uint8.

  Returns:
    [..., 3] float32 in 0..1.
  """
  x = rgb.astype(jnp.float32) / 255.0
  return jnp.where(x > 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92)


def lightness(intensity: jax.Array) -> jax.Array:
  """Converts linear intensity [...] in 0..1 to luminance L [...] (CIE 15)."""
  root = jnp.cbrt(jnp.maximum(intensity, color.CUBE_ROOT_MIN))
  tangent = color.CUBE_ROOT_SLOPE * intensity + color.CUBE_ROOT_OFFSET
  f = jnp.where(intensity > color.CUBE_ROOT_MIN, root, tangent)
  return 116.0 * f - 16.0


def blur(x: jax.Array, sigma: jax.Array) -> jax.Array:
  """Blurs each map with a Gaussian of its own width.

  Args:
    x: [B, H, W], any unit.
    sigma: [B, 1, 1] or [1, 1, 1] standard deviations in pixels of `x`.
  """
  offsets = np.arange(-RADIUS, RADIUS + 1)
  sigma = jnp.maximum(sigma, 1e-3)
  weights = [jnp.exp(-0.5 * (float(i) / sigma) ** 2) for i in offsets]
  total = sum(weights)
  for axis in (1, 2):
    widths = [(0, 0)] * 3
    widths[axis] = (RADIUS, RADIUS)
    padded = jnp.pad(x, widths, 'edge')
    size = x.shape[axis]
    x = functools.reduce(
      operator.add,
      (
        weight / total * jax.lax.slice_in_dim(padded, i, i + size, axis=axis)
        for i, weight in enumerate(weights)
      ),
    )
  return x


def vignette(luminance: jax.Array, strength: jax.Array) -> jax.Array:
  """Darkens pictures towards the corners.

  Args:
    luminance: [B, H, W] L.
    strength: [B, 1, 1] fraction of the luminance that the corners lose.
  """
  height, width = luminance.shape[1:]
  rows = np.linspace(-1.0, 1.0, height)[:, None]
  columns = np.linspace(-1.0, 1.0, width)[None]
  squared_radius = 0.5 * (rows**2 + columns**2)[None]  # 1 in the corners
  loss = strength * jnp.asarray(squared_radius, jnp.float32)
  return luminance * (1.0 - loss)


def _cosines() -> np.ndarray:
  """Returns the orthonormal basis [8, 8] of the discrete cosine transform."""
  frequency = np.arange(8)[:, None]
  position = 2 * np.arange(8)[None] + 1
  basis = np.cos(np.pi * position * frequency / 16) / 2
  basis[0] /= np.sqrt(2)
  return basis.astype(np.float32)


def jpeg_blocks(luminance: jax.Array, coarseness: jax.Array) -> jax.Array:
  """Quantises blocks of 8 x 8 pixels like JPEG.

  Args:
    luminance: [B, H, W] L. H and W need not be multiples of 8: the last blocks
      are padded.
    coarseness: [B, 1, 1] factors by which the quantisation table for quality 50
      is multiplied. A factor of 0 leaves pictures almost unchanged.

  Returns:
    [B, H, W] L.
  """
  batch, height, width = luminance.shape
  widths = [(0, 0), (0, -height % 8), (0, -width % 8)]
  x = jnp.pad(2.55 * luminance - 128.0, widths, 'edge')
  num_rows, num_columns = x.shape[1] // 8, x.shape[2] // 8  # of blocks
  x = x.reshape(batch, num_rows, 8, num_columns, 8)
  basis = _cosines()
  # Indices: (r, d) of a block, (i, j) of a pixel, (u, v) of a frequency.
  transform = functools.partial(jnp.einsum, precision='highest')
  coefficients = transform('ui,bridj,vj->bruvd', basis, x, basis)
  coarseness = coarseness[..., None, None]
  table = JPEG_TABLE.reshape(1, 1, 8, 8, 1) * coarseness + 1e-2
  coefficients = jnp.round(coefficients / table) * table
  x = transform('ui,bruvd,vj->bridj', basis, coefficients, basis)
  x = x.reshape(batch, 8 * num_rows, 8 * num_columns)[:, :height, :width]
  return (x + 128.0) / 2.55


def _scale(shape: tuple[int, ...]) -> float:
  """Returns the short side of [B, H, W, ...] relative to `REFERENCE_SIDE`."""
  return min(shape[1:3]) / REFERENCE_SIDE


def random_film(key: jax.Array, rgb: jax.Array) -> jax.Array:
  """Renders each picture as photographed on a random old film.

  Args:
    key: PRNG key.
    rgb: [B, H, W, 3] uint8.

  Returns:
    [B, H, W, 1] L in 0..100, not rounded.
  """
  keys = iter(jax.random.split(key, 16))
  batch = len(rgb)

  def uniform(low: float, high: float) -> jax.Array:
    return jax.random.uniform(
      next(keys), (batch, 1, 1), minval=low, maxval=high
    )

  def is_applied(probability: float) -> jax.Array:
    return (uniform(0.0, 1.0) < probability).astype(jnp.float32)

  scale = _scale(rgb.shape)
  # Each picture has a random position between panchromatic (0), orthochromatic
  # (1) and blue-sensitive (2). The two nearest films are interpolated.
  position = uniform(0.0, 2.0)
  films = jnp.array([PANCHROMATIC, ORTHOCHROMATIC, BLUE_SENSITIVE])
  film_weights = jnp.maximum(
    0.0, 1.0 - jnp.abs(position - jnp.arange(3.0).reshape(1, 1, 3))
  )
  sensitivities = jnp.einsum(
    'bif,fc->bic', film_weights, films, precision='highest'
  )
  x = lightness((linear_rgb(rgb) * sensitivities[:, :, None, :]).sum(-1))
  x = blur(x, is_applied(0.6) * uniform(0.3, 2.6) * scale)
  contrast = jnp.exp(uniform(-0.5, 0.55))
  gamma = jnp.exp(uniform(-0.35, 0.35))
  x = 100.0 * (jnp.clip(x, 0.0, 100.0) / 100.0 + 1e-4) ** gamma
  x = (x - 50.0) * contrast + 50.0 + uniform(-8.0, 8.0)
  x = vignette(x, is_applied(0.3) * uniform(0.0, 0.5))
  noise = jax.random.normal(next(keys), x.shape)
  grain_sigma = uniform(0.4, 1.8) * scale
  # Approximate standard deviation of unit white noise after a Gaussian blur
  # with this sigma.
  blurred_deviation = 1.0 / jnp.sqrt(1.0 + 4.0 * np.pi * grain_sigma**2)
  # Standard deviation of the grain in units of L.
  grain_deviation = is_applied(0.7) * uniform(0.0, 1.0) ** 2 * 5.0
  grain = grain_deviation * blur(noise, grain_sigma) / blurred_deviation
  x = jnp.clip(x + grain, 0.0, 100.0)
  low, high = uniform(0.0, 20.0), uniform(76.0, 100.0)
  x = low + (high - low) / 100.0 * x
  x = jpeg_blocks(x, is_applied(0.3) * uniform(0.1, 1.2))
  return jnp.clip(x, 0.0, 100.0)[..., None]


def through_film(
  key: jax.Array, rgb: jax.Array, luminance: jax.Array, *, share: float
) -> jax.Array:
  """Re-renders the luminance of some pictures as if shot on random old films.

  Args:
    key: PRNG key, which determines the chosen pictures and their films.
    rgb: [B, H, W, 3] uint8.
    luminance: [B, H, W, 1] L in 0..100 of `rgb`, without film.
    share: fraction of the B pictures that are re-rendered. Exactly
      round(share * B) pictures are chosen, and only these are rendered.

  Returns:
    [B, H, W, 1] L in 0..100.
  """
  count = round(share * len(rgb))
  if not count:
    return luminance
  choice_key, film_key = jax.random.split(key)
  chosen = jax.random.permutation(choice_key, len(rgb))[:count]
  return luminance.at[chosen].set(random_film(film_key, rgb[chosen]))


def _add_grain(key: jax.Array, luminance: jax.Array) -> jax.Array:
  """Adds blurred noise to L [B, H, W].

  The noise has a standard deviation of 9 units of L before it is blurred with a
  sigma of 0.7 pixels.
  """
  noise = 9.0 * jax.random.normal(key, luminance.shape)
  return luminance + blur(noise, jnp.full((1, 1, 1), 0.7))


def _film_with_sensitivities(
  sensitivities: tuple[float, ...],
) -> Callable[[jax.Array, jax.Array], jax.Array]:
  """Returns an entry of `FIXED` for a film without grain, blur or fading.

  Args:
    sensitivities: the film's sensitivities to linear red, green and blue.
  """
  return lambda rgb, key: lightness(
    (linear_rgb(rgb) * jnp.array(sensitivities).reshape(1, 1, 1, 3)).sum(-1)
  )


def _clean(rgb: jax.Array, key: jax.Array) -> jax.Array:
  del key
  return color.rgb_to_lab(rgb)[..., 0]


def _old(rgb: jax.Array, key: jax.Array) -> jax.Array:
  """Renders pictures on a blurred, grainy and faded orthochromatic film."""
  sharp = _film_with_sensitivities(ORTHOCHROMATIC)(rgb, key)
  soft = blur(sharp, jnp.full((1, 1, 1), 0.8))
  return 15.0 + 0.65 * _add_grain(key, soft)


# Films for evaluation, keyed by name. Each is a function of (rgb, key) that
# returns L [B, H, W], not clipped. rgb is [B, H, W, 3] uint8, with about
# `FIXED_SIDE` pixels on the short side, and key is a PRNG key.
FIXED = {
  'clean': _clean,
  'blurred': lambda rgb, key: blur(_clean(rgb, key), jnp.full((1, 1, 1), 1.0)),
  'grain': lambda rgb, key: _add_grain(key, _clean(rgb, key)),
  'faded': lambda rgb, key: 15.0 + 0.65 * _clean(rgb, key),
  'harsh': lambda rgb, key: (_clean(rgb, key) - 50.0) * 1.6 + 50.0,
  'orthochromatic': _film_with_sensitivities(ORTHOCHROMATIC),
  'blue_sensitive': _film_with_sensitivities(BLUE_SENSITIVE),
  'old': _old,
}
FIXED_SIDE = 128


def check(name: str) -> None:
  """Checks the name of a film.

  Raises:
    UserError: if the name is not in `FIXED`.
  """
  if name not in FIXED:
    raise errors.UserError(
      f'`film` must be one of {", ".join(FIXED)}, got {name!r}.'
    )


def fixed_film(name: str, rgb: jax.Array, key: jax.Array) -> jax.Array:
  """Renders pictures as photographed on one of the films of `FIXED`.

  The pictures are reduced by the factor f = max(1, min(H, W) // FIXED_SIDE),
  rendered and enlarged again, so that models of all input sizes are compared on
  the same pictures. With 'clean', the pictures are not reduced.

  Args:
    name: key of `FIXED`.
    rgb: [B, H, W, 3] uint8. Except with 'clean', H and W must be multiples of
      f.
    key: PRNG key of the grain.

  Returns:
    [B, H, W, 1] L in 0..100.

  Raises:
    UserError: if H or W must be a multiple of f and is not.
  """
  if name == 'clean':
    return _clean(rgb, key)[..., None]
  height, width = rgb.shape[1:3]
  factor = max(1, min(height, width) // FIXED_SIDE)
  if height % factor or width % factor:
    raise errors.UserError(
      f'With `film` {name!r}, both sides of the pictures must be multiples of '
      f'{factor}, got {height} x {width}.'
    )
  small = color.subsample(rgb.astype(jnp.float32), factor, 'area')
  luminance = FIXED[name](jnp.round(small).astype(jnp.uint8), key)
  luminance = jnp.clip(luminance, 0.0, 100.0)[..., None]
  shape = (len(rgb), height, width, 1)
  if factor > 1:
    luminance = jax.image.resize(luminance, shape, 'cubic')
  return jnp.clip(luminance, 0.0, 100.0)
