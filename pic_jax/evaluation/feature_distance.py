"""Distance of coloured photographs from real ones, in a classifier's features.

A kernel distance (Binkowski et al. 2018, "KID") in features of the model's own
backbone, which here sees all three colours: the mean and the deviation of its
taps over a picture, and the mean of its head. It is unbiased: 0 on average for
pictures like the reference, and so sometimes below 0.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.evaluation import likelihood
from pic_jax.model import (
  backbone_embedding,
  efficientnet_lite0,
  parameters,
  pic,
)
from pic_jax.runtime import devices, errors, terminal
from pic_jax.sampling import conditions, pictures, sample
from pic_jax.saved import run_config

# Scales typical distances to more than 1.
SCALE = 100.0
PARTS = ('taps', 'head')
SETS = ('samples', 'floor', 'originals', 'grey')
NUM_REFERENCE = 1500


def features(params: parameters.Params, rgb: jax.Array) -> dict[str, jax.Array]:
  """Computes the features of pictures, by part of the backbone.

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
  params: parameters.Params,
  pictures: Sequence[np.ndarray],
  batch_size: int = 16,
) -> dict[str, np.ndarray]:
  """`features` of many pictures [H, W, 3] uint8 of one size: [N, ...]."""
  features_fn: Callable = jax.jit(features)
  rows = []
  for first in range(0, len(pictures), batch_size):
    indices = range(first, min(first + batch_size, len(pictures)))
    batch = np.stack([pictures[index] for index in indices])
    padding = batch_size - len(batch)  # one shape, one program
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


def check(config: ml_collections.ConfigDict) -> None:
  """Checks that there are features.

  Raises:
    UserError: the model has no backbone.
  """
  if config.model.backbone == 'none':
    raise errors.UserError(
      'The feature distance needs `model.backbone`, which this model lacks.'
    )


def _features_of_sets(
  params: parameters.Params,
  rgb: jax.Array,
  indices: jax.Array,
  *,
  model: pic.PIC,
  seed: int,
) -> dict[str, jax.Array]:
  """'<set>_<part>' features of the sets of `SETS` for images [B, H, W, 3]."""
  lab = model.split_lab(rgb)
  keys = sample.image_keys(seed, indices)
  spec = conditions.SamplingSpec()
  drawn = sample.draw(model, params, lab.luminance, keys=keys, spec=spec)
  pictures_fn = functools.partial(pictures.to_rgb, model, lab.luminance)
  shown = {
    'samples': pictures_fn(drawn.chroma)[:, 0],
    'floor': pictures_fn(lab.chroma[:, None])[:, 0],
    'originals': rgb,
    'grey': pictures.grey_picture(model, lab),
  }
  return {
    f'{name}_{part}': values
    for name, images in shown.items()
    for part, values in features(params, images).items()
  }


def measure(
  config: ml_collections.ConfigDict,
  params: parameters.Params,
  source: Sequence[np.ndarray],
  *,
  num_images: int,
) -> dict[str, Any]:
  """Measures samples of the first images of a source, one of each.

  The reference are `NUM_REFERENCE` photographs of `data.train_split`. Chroma is
  interpolated linearly, as in --mode=sample; the floor is what the true chroma
  on the model's grid has.

  Args:
    config: of the model, data and sampling.
    params: replicated (averaged) parameters.
    source: see `input_pipeline.open_source`.
    num_images: -1 for all.

  Returns:
    '<set>_distance_taps' and '<set>_distance_head' for the sets of `SETS`;
    'num_feature_images'.

  Raises:
    UserError: see `check`; or the training images cannot be opened.
  """
  check(config)
  model, seed = run_config.build_model(config), config.sampling.seed
  training = input_pipeline.open_source(config.data, config.data.train_split)
  chosen = np.random.default_rng(0).permutation(len(training))[:NUM_REFERENCE]

  show_fn = devices.pmap(
    functools.partial(_features_of_sets, model=model, seed=seed)
  )
  found = likelihood.score_images(
    lambda *batch: show_fn(params, *devices.shard(batch)),
    source,
    config.sampling.batch_size,
    num_images=num_images,
  )
  real = features_of_all(
    jax.device_put(devices.fetch(params)), [training[index] for index in chosen]
  )
  report = {'num_feature_images': len(found['originals_taps'])}
  for name in SETS:
    for part in PARTS:
      report[f'{name}_distance_{part}'] = distance(
        found[f'{name}_{part}'], real[part]
      )
  return report


def to_text(report: dict[str, Any]) -> str:
  """Formats the report as a table."""
  rows = [('feature distance', 'taps', 'head')]
  for name in SETS:
    values = (report[f'{name}_distance_{part}'] for part in PARTS)
    rows.append((name, *(f'{value:.2f}' for value in values)))
  return (
    f'{report["num_feature_images"]} images, one sample each\n'
    f'{terminal.table(rows)}'
  )
