"""Score for failures as in figure 5: differing colours of look-alike parts.

In the paper's failures, two parts of one object have different colours. This
file finds look-alike pairs in the original: two distant cells (pixels of the
chroma map) with similar colours and similar patches of luminance. It needs no
model for this. In a sample, the two cells should also have similar colours.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PATCH = 5  # side of the luminance patch around a cell, in cells
MIN_CORRELATION = 0.9  # correlation of the two luminance patches
MIN_DISTANCE = 6.0  # distance between the two cells, in cells
MIN_CHROMA = 10.0  # length of (a, b) of each cell in the original, Lab units
MAX_DIFFERENCE = 4.0  # distance of the two (a, b) in the original, Lab units


def _inner(x: jax.Array) -> jax.Array:
  """Selects the cells of maps [B, h, w, C] that have a whole patch around them.

  Returns:
    [B, n, C], where n is the number of such cells.
  """
  margin = PATCH // 2
  inner = x[:, margin:-margin, margin:-margin]
  return inner.reshape(len(x), -1, x.shape[-1])


def _distances(chroma: jax.Array) -> jax.Array:
  """Computes the distances [B, n, n] in (a, b) between cells [B, n, 2]."""
  return jnp.linalg.norm(chroma[:, :, None] - chroma[:, None], axis=-1)


def pairs(luminance: jax.Array, original: jax.Array) -> jax.Array:
  """Finds the pairs of cells that look alike, each pair once.

  Args:
    luminance: [B, h, w, 1], luminance of the cells in network units.
    original: [B, h, w, 2], chroma of the original in Lab units.

  Returns:
    [B, n, n] bool, True for a pair; n is the number of cells that have a whole
    patch around them.
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
  # A flat patch must not correlate with any patch, so its norm (almost 0) is
  # raised to 1e-4. With the chroma filter 'point', the smallest norm of any
  # other patch is about 0.008, if one cell differs by one step of the 8-bit
  # luminance.
  patches = patches / jnp.maximum(norms, 1e-4)
  correlation = jnp.einsum(
    'bik,bjk->bij', patches, patches, precision='highest'
  )
  rows, cols = np.divmod(np.arange(height * width), width)
  distance = np.hypot(rows[:, None] - rows, cols[:, None] - cols)
  is_distant = np.triu(distance >= MIN_DISTANCE)  # each pair once
  chroma = _inner(original)
  is_colourful = jnp.linalg.norm(chroma, axis=-1) > MIN_CHROMA
  return (
    (correlation > MIN_CORRELATION)
    & is_distant[None]
    & (_distances(chroma) < MAX_DIFFERENCE)
    & is_colourful[:, :, None]
    & is_colourful[:, None]
  )


def excess(
  luminance: jax.Array, original: jax.Array, samples: jax.Array
) -> jax.Array:
  """Computes the excess colour difference of look-alike pairs in samples.

  Args:
    luminance: [B, h, w, 1], luminance of the cells in network units.
    original: [B, h, w, 2], chroma of the original in Lab units.
    samples: [B, S, h, w, 2] in Lab units.

  Returns:
    [B, 2]. The first value is the distance in (a, b) in a sample minus the
    distance in the original, summed over pairs and averaged over samples, in
    Lab units. The second value is the number of pairs.
  """
  if min(luminance.shape[1:3]) < PATCH:
    return jnp.zeros((len(luminance), 2))
  is_pair = pairs(luminance, original)

  def total(chroma: jax.Array) -> jax.Array:
    return jnp.where(is_pair, _distances(_inner(chroma)), 0.0).sum((1, 2))

  # Sample by sample, because all samples at once would need S times the memory.
  mean_total = jax.lax.map(total, samples.swapaxes(0, 1)).mean(0)
  return jnp.stack([mean_total - total(original), is_pair.sum((1, 2))], -1)


def mean_excess(values: np.ndarray, name: str) -> dict[str, Any]:
  """Computes the mean excess over the pairs of all images.

  Args:
    values: [N, 2], result of `excess` for N images.
    name: name of the score.

  Returns:
    Dict with the number of pairs as `<name>_pairs`. If there are any pairs, it
    also has the mean as `<name>`, and for N > 1 its standard error as
    `<name>_stderr`, for which images (not pairs) count as independent.
  """
  sums, counts = values.T
  report: dict[str, float] = {f'{name}_pairs': int(counts.sum())}
  if counts.any():
    report[name] = mean = float(sums.sum() / counts.sum())
    if len(values) > 1:  # error of a ratio of means (Cochran 1977, eq. 2.39)
      deviation = (sums - mean * counts).std(ddof=1) / counts.mean()
      report[f'{name}_stderr'] = float(deviation / np.sqrt(len(values)))
  return report
