"""Colour conversion of arrays of any shape.

Pixels are converted in chunks of two fixed sizes. Otherwise JAX would compile a
program for each new shape and keep 50 MB of memory for each photograph.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color

CHUNK = 1 << 16  # pixels
SMALL_CHUNK = 1 << 12  # pixels; for chroma maps and single colours
# Arrays that need more small chunks than this are converted in large chunks.
MAX_SMALL_CHUNKS = 4
# Steps of bisection. They leave an error of 1 / 4096 of a colour's chroma.
GAMUT_STEPS = 12


@jax.jit
def _to_lab(rgb: jax.Array) -> tuple[jax.Array]:
  return (color.rgb_to_lab(rgb),)


@jax.jit
def _to_rgb(lab: jax.Array) -> tuple[jax.Array, jax.Array]:
  return color.lab_to_rgb(lab), ~color.is_in_gamut(lab)


def _in_chunks(
  convert: Callable[[np.ndarray], tuple[jax.Array, ...]], pixels: np.ndarray
) -> list[np.ndarray]:
  """Applies a function of pixels to one chunk after another.

  Args:
    convert: function from [chunk size, 3] to arrays with as many rows.
    pixels: [N, 3].

  Returns:
    The arrays that `convert` returns, joined to N rows each.
  """
  outputs = []  # for each chunk, the arrays that `convert` returns
  is_small = len(pixels) <= MAX_SMALL_CHUNKS * SMALL_CHUNK
  size = SMALL_CHUNK if is_small else CHUNK
  for first in range(0, max(len(pixels), 1), size):
    chunk = pixels[first : first + size]
    padded = np.pad(chunk, ((0, size - len(chunk)), (0, 0)))
    outputs.append([np.asarray(x)[: len(chunk)] for x in convert(padded)])
  return [np.concatenate(pieces) for pieces in zip(*outputs, strict=True)]


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
  """Converts sRGB to CIE Lab on the device; see `color.rgb_to_lab`.

  Args:
    rgb: [..., 3] uint8.

  Returns:
    [..., 3] float32 in Lab units, a numpy array.
  """
  (lab,) = _in_chunks(_to_lab, np.ascontiguousarray(rgb).reshape(-1, 3))
  return lab.reshape(rgb.shape)


def lab_to_rgb(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Converts CIE Lab to sRGB on the device; see `color.lab_to_rgb`.

  Args:
    lab: [..., 3] float32 in Lab units.

  Returns:
    [..., 3] uint8; and [...] bool, True where the colour was outside the gamut
    of sRGB and has been clipped.
  """
  rgb, is_clipped = _in_chunks(_to_rgb, lab.reshape(-1, 3))
  return rgb.reshape(lab.shape), is_clipped.reshape(lab.shape[:-1])


@jax.jit
def _within_gamut(lab: jax.Array) -> tuple[jax.Array]:
  """Scales chroma by the largest factor in 0..1 that the gamut allows."""
  luminance, chroma = lab[..., :1], lab[..., 1:]

  def bisect(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple:
    low, high = bounds
    middle = (low + high) / 2
    is_inside = color.is_in_gamut(
      jnp.concatenate([luminance, middle * chroma], -1)
    )[..., None]
    return jnp.where(is_inside, middle, low), jnp.where(is_inside, high, middle)

  zero = jnp.zeros_like(luminance)
  low, _ = jax.lax.fori_loop(0, GAMUT_STEPS, bisect, (zero, zero + 1))
  scale = jnp.where(color.is_in_gamut(lab)[..., None], 1.0, low)
  return (jnp.concatenate([luminance, scale * chroma], -1),)


def within_gamut(lab: np.ndarray) -> np.ndarray:
  """Moves colours towards grey until they are in the gamut of sRGB.

  Luminance and hue stay the same, whereas clipping RGB would change them.

  Args:
    lab: [..., 3] float32 in Lab units.

  Returns:
    [..., 3] float32 in Lab units.
  """
  (moved,) = _in_chunks(_within_gamut, lab.reshape(-1, 3))
  return moved.reshape(lab.shape)
