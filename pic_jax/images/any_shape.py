"""Colours of pictures of any size by programs of two sizes.

Every new shape would be compiled, and kept: 50 MB for each photograph.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color

CHUNK = 1 << 16  # pixels
SMALL_CHUNK = 1 << 12  # for chroma maps and single colours
GAMUT_STEPS = 12  # the edge of the gamut to 1 / 4096 of a colour's chroma


@jax.jit
def _to_lab(rgb: jax.Array) -> tuple[jax.Array]:
  return (color.rgb_to_lab(rgb),)


@jax.jit
def _to_rgb(lab: jax.Array) -> tuple[jax.Array, jax.Array]:
  return color.lab_to_rgb(lab), ~color.is_in_gamut(lab)


def _in_chunks(
  convert: Callable[[np.ndarray], tuple[jax.Array, ...]], pixels: np.ndarray
) -> list[np.ndarray]:
  """Converts [N, 3] a chunk at a time; returns arrays of N rows."""
  parts = []
  size = SMALL_CHUNK if len(pixels) <= SMALL_CHUNK else CHUNK
  for first in range(0, max(len(pixels), 1), size):
    chunk = pixels[first : first + size]
    padded = np.pad(chunk, ((0, size - len(chunk)), (0, 0)))
    parts.append([np.asarray(x)[: len(chunk)] for x in convert(padded)])
  return [np.concatenate(part) for part in zip(*parts, strict=True)]


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
  """`color.rgb_to_lab` of [..., 3] uint8, as a host array."""
  (lab,) = _in_chunks(_to_lab, np.ascontiguousarray(rgb).reshape(-1, 3))
  return lab.reshape(rgb.shape)


def lab_to_rgb(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Converts [..., 3] float32 in Lab units.

  Returns:
    [..., 3] uint8, and whether each colour [...] was out of sRGB's gamut.
  """
  rgb, clipped = _in_chunks(_to_rgb, lab.reshape(-1, 3))
  return rgb.reshape(lab.shape), clipped.reshape(lab.shape[:-1])


@jax.jit
def _within_gamut(lab: jax.Array) -> tuple[jax.Array]:
  luminance, chroma = lab[..., :1], lab[..., 1:]

  def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple:
    low, high = ends
    middle = (low + high) / 2
    is_inside = color.is_in_gamut(
      jnp.concatenate([luminance, middle * chroma], -1)
    )[..., None]
    return jnp.where(is_inside, middle, low), jnp.where(is_inside, high, middle)

  none = jnp.zeros_like(luminance)
  low, _ = jax.lax.fori_loop(0, GAMUT_STEPS, halve, (none, none + 1))
  share = jnp.where(color.is_in_gamut(lab)[..., None], 1.0, low)
  return (jnp.concatenate([luminance, share * chroma], -1),)


def within_gamut(lab: np.ndarray) -> np.ndarray:
  """Moves colours [..., 3], Lab units, towards grey until sRGB has them.

  Luminance and hue stay, unlike when RGB is clipped.
  """
  (moved,) = _in_chunks(_within_gamut, lab.reshape(-1, 3))
  return moved.reshape(lab.shape)
