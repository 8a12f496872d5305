"""Distance of coloured photographs from real ones, in a classifier's features.

A kernel distance (Binkowski et al. 2018, "KID") in features of the model's own
backbone, which here sees all three colours: the mean and the deviation of its
taps over a picture, and the mean of its head. It is unbiased: 0 on average for
pictures that cannot be told from the reference, and so below 0 at times.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import backbone_embedding, efficientnet_lite0

# So that interesting distances have digits before the point.
SCALE = 100.0
PARTS = ('taps', 'head')


def features(params: Any, rgb: jax.Array) -> dict[str, jax.Array]:
  """Features of pictures by the part of the backbone that gives them.

  Args:
    params: of a `PIC` with a backbone.
    rgb: [B, H, W, 3] uint8.

  Returns:
    'taps': [B, 2 x channels of all taps], 'head': [B, C], float32.
  """
  *taps, head = efficientnet_lite0.EfficientNetLite0().apply(
    {'params': backbone_embedding.params_of(params)},
    rgb.astype(jnp.float32) / 127.5 - 1.0,
  )
  moments = [x.mean((1, 2)) for x in taps] + [x.std((1, 2)) for x in taps]
  return {'taps': jnp.concatenate(moments, -1), 'head': head.mean((1, 2))}


def features_of_all(
  params: Any, pictures: Sequence[np.ndarray], batch_size: int = 16
) -> dict[str, np.ndarray]:
  """`features` of many pictures [H, W, 3] uint8 of one size: [N, ...]."""
  features_fn: Callable = jax.jit(features)
  rows = []
  for first in range(0, len(pictures), batch_size):
    indices = range(first, min(first + batch_size, len(pictures)))
    batch = np.stack([pictures[index] for index in indices])
    padding = batch_size - len(batch)  # one shape, so one program
    padded = np.pad(batch, ((0, padding), (0, 0), (0, 0), (0, 0)))
    found = features_fn(params, padded)
    rows.append({k: np.asarray(v)[: len(batch)] for k, v in found.items()})
  return {name: np.concatenate([row[name] for row in rows]) for name in PARTS}


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Cubic polynomial kernel of rows, [N, M] (Binkowski et al. 2018)."""
  return (x @ y.T / x.shape[1] + 1.0) ** 3


def distance(pictures: np.ndarray, reference: np.ndarray) -> float:
  """Squared maximum mean discrepancy, unbiased, times `SCALE`.

  Args:
    pictures: [N, F] features; N > 1.
    reference: [M, F] features of other, real photographs, M > 1; they give the
      units: every feature counts in its deviations over the reference.
  """
  mean, deviation = reference.mean(0), reference.std(0) + 1e-6
  x, y = (
    (z.astype(np.float64) - mean) / deviation for z in (pictures, reference)
  )

  def mean_of_pairs(z: np.ndarray) -> float:
    kernel = _kernel(z, z)
    return (kernel.sum() - np.trace(kernel)) / (len(z) * (len(z) - 1))

  cross = _kernel(x, y).mean()
  return float(SCALE * (mean_of_pairs(x) + mean_of_pairs(y) - 2.0 * cross))


def distances(
  params: Any,
  pictures: dict[str, Sequence[np.ndarray]],
  reference: Sequence[np.ndarray],
) -> dict[str, float]:
  """Distances of sets of pictures from a reference, by set and part.

  Args:
    params: of a `PIC` with a backbone.
    pictures: sets by their name; [H, W, 3] uint8.
    reference: other photographs of the same size.

  Returns:
    '<set>_distance_taps' and '<set>_distance_head'.
  """
  real = features_of_all(params, reference)
  found = {}
  for name, members in pictures.items():
    own = features_of_all(params, members)
    for part in PARTS:
      found[f'{name}_distance_{part}'] = distance(own[part], real[part])
  return found
