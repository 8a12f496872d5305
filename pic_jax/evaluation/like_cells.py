"""Figure 5 as a number: whether parts that look alike get the same colour.

The paper's failures colour two parts of one object differently. Pairs of
distant cells with the same colour and luminance texture in the original are
found without a model; samples should agree there, too.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PATCH = 5  # side of the luminance around a cell, in cells
MIN_CORRELATION = 0.9  # of two patches
MIN_DISTANCE = 6.0  # of two cells
MIN_CHROMA = 10.0  # of the original, Lab units
MAX_DIFFERENCE = 4.0  # of two cells of the original, Lab units


def _inner(x: jax.Array) -> jax.Array:
  """[B, n, C] of the cells of maps [B, h, w, C] with a whole patch around."""
  margin = PATCH // 2
  inner = x[:, margin:-margin, margin:-margin]
  return inner.reshape(len(x), -1, x.shape[-1])


def _distances(chroma: jax.Array) -> jax.Array:
  """[B, n, n] between cells [B, n, 2]."""
  return jnp.linalg.norm(chroma[:, :, None] - chroma[:, None], axis=-1)


def pairs(luminance: jax.Array, original: jax.Array) -> jax.Array:
  """Finds the pairs, each of them once.

  Args:
    luminance: [B, h, w, 1] of the cells, in network units.
    original: [B, h, w, 2] in Lab units.

  Returns:
    [B, n, n] bool, of n cells that are not at the border.
  """
  batch, height, width, _ = luminance.shape
  height, width = height - PATCH + 1, width - PATCH + 1
  patches = jnp.stack(
    [
      luminance[:, row : row + height, col : col + width, 0]
      for row in range(PATCH)
      for col in range(PATCH)
    ],
    -1,
  ).reshape(batch, height * width, PATCH**2)
  patches = patches - patches.mean(-1, keepdims=True)
  norms = jnp.linalg.norm(patches, axis=-1, keepdims=True)
  # Flat ones correlate with nothing; one grey level is a norm of 0.008.
  patches = patches / jnp.maximum(norms, 1e-4)
  correlation = jnp.einsum(
    'bik,bjk->bij', patches, patches, precision='highest'
  )
  rows, cols = np.divmod(np.arange(height * width), width)
  apart = np.hypot(rows[:, None] - rows, cols[:, None] - cols) >= MIN_DISTANCE
  chroma = _inner(original)
  colourful = jnp.linalg.norm(chroma, axis=-1) > MIN_CHROMA
  return (
    (correlation > MIN_CORRELATION)
    & jnp.triu(apart)[None]
    & (_distances(chroma) < MAX_DIFFERENCE)
    & colourful[:, :, None]
    & colourful[:, None]
  )


def excess(
  luminance: jax.Array, original: jax.Array, samples: jax.Array
) -> jax.Array:
  """Distances of such pairs in samples, less those in the original.

  Args:
    luminance: [B, h, w, 1] of the cells, in network units.
    original: [B, h, w, 2] in Lab units.
    samples: [B, S, h, w, 2] in Lab units.

  Returns:
    [B, 2]: distance in (a, b) within a sample, less that within the original,
    summed over pairs, mean over samples; and the number of pairs.
  """
  if min(luminance.shape[1:3]) < PATCH:
    return jnp.zeros((len(luminance), 2))
  chosen = pairs(luminance, original)

  def total(chroma: jax.Array) -> jax.Array:
    return jnp.where(chosen, _distances(_inner(chroma)), 0.0).sum((1, 2))

  # One sample at a time: the pairs of all at once need S times the memory.
  drawn = jax.lax.map(total, samples.swapaxes(0, 1)).mean(0)
  return jnp.stack([drawn - total(original), chosen.sum((1, 2))], -1)


def mean_excess(values: np.ndarray, name: str) -> dict[str, Any]:
  """Mean over the pairs of all images, and its standard error over images.

  Args:
    values: [N, 2] of `excess`.
    name: of the score.

  Returns:
    `name`, `<name>_stderr` and `<name>_pairs`; the number alone if it is 0.
  """
  sums, counts = values.T
  report = {f'{name}_pairs': int(counts.sum())}
  if counts.any():
    report[name] = mean = float(sums.sum() / counts.sum())
    if len(values) > 1:  # of a ratio of two means (Cochran 1977, eq. 2.39)
      rest = (sums - mean * counts).std(ddof=1) / counts.mean()
      report[f'{name}_stderr'] = float(rest / np.sqrt(len(values)))
  return report
