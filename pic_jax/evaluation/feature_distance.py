"""Distance of coloured photographs from real ones, in a classifier's features.

The distance is the kernel distance "KID" (Binkowski et al. 2018) in features of
the model's own backbone, which reads RGB here instead of luminance. The
features are the means and standard deviations of the feature maps over a
picture ("taps"), and the means of the last layer ("head"). The distance is
unbiased: its expected value is 0 for pictures distributed like the reference,
so it may be negative.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.data import image_source, input_pipeline, unreadable
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

# Factor that makes typical distances larger than 1.
SCALE = 100.0
# Parts of the features. The distance is computed for each part separately.
PARTS = ('taps', 'head')
# Sets of pictures whose distance is measured. The pictures of 'floor' have the
# true chroma, reduced to the model's grid.
SETS = ('samples', 'floor', 'originals', 'grey')
NUM_REFERENCE = 1500  # number of reference photographs


def features(params: parameters.Params, rgb: jax.Array) -> dict[str, jax.Array]:
  """Computes the features of pictures for each of `PARTS`.

  Args:
    params: parameters of a `PIC` with a backbone.
    rgb: [B, H, W, 3] uint8.

  Returns:
    'taps': [B, T] float32, where T is twice the number of channels of all taps;
    'head': [B, C] float32.
  """
  *taps, head = efficientnet_lite0.EfficientNetLite0().apply(
    {'params': backbone_embedding.params_of(params)},
    rgb.astype(jnp.float32) / 127.5 - 1.0,
  )
  moments = [x.mean((1, 2)) for x in taps] + [x.std((1, 2)) for x in taps]
  return {'taps': jnp.concatenate(moments, -1), 'head': head.mean((1, 2))}


def features_of_all(
  params: parameters.Params,
  images: Sequence[np.ndarray],
  batch_size: int = 16,
) -> dict[str, np.ndarray]:
  """Computes the features of many pictures of one size, batch by batch.

  Args:
    params: parameters of a `PIC` with a backbone.
    images: N pictures [H, W, 3] uint8.
    batch_size: number of pictures in a batch.

  Returns:
    Dict of arrays [N, ...] with the same keys as in `features`.
  """
  features_fn: Callable = jax.jit(features)
  results = []
  for first in range(0, len(images), batch_size):
    indices = range(first, min(first + batch_size, len(images)))
    batch = np.stack([images[index] for index in indices])
    # The last batch is padded, so all batches use one compiled program.
    padding = batch_size - len(batch)
    padded = np.pad(batch, ((0, padding), (0, 0), (0, 0), (0, 0)))
    result = features_fn(params, padded)
    results.append({k: np.asarray(v)[: len(batch)] for k, v in result.items()})
  return {part: np.concatenate([x[part] for x in results]) for part in PARTS}


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Computes the cubic kernel (Binkowski et al. 2018) between two sets of rows.

  Args:
    x: [N, F] features.
    y: [M, F] features.

  Returns:
    Kernel values [N, M].
  """
  return (x @ y.T / x.shape[1] + 1.0) ** 3


def distance(values: np.ndarray, reference: np.ndarray) -> float:
  """Computes the unbiased squared maximum mean discrepancy, times `SCALE`.

  Every feature is first standardised with its mean and standard deviation over
  the reference.

  Args:
    values: [N, F], features of the pictures; N > 1.
    reference: [M, F], features of other, real photographs; M > 1.
  """
  mean, deviation = reference.mean(0), reference.std(0) + 1e-6
  x, y = (
    (z.astype(np.float64) - mean) / deviation for z in (values, reference)
  )

  def mean_of_pairs(z: np.ndarray) -> float:
    kernel = _kernel(z, z)
    return (kernel.sum() - np.trace(kernel)) / (len(z) * (len(z) - 1))

  cross = _kernel(x, y).mean()
  return float(SCALE * (mean_of_pairs(x) + mean_of_pairs(y) - 2.0 * cross))


def check(config: ml_collections.ConfigDict) -> None:
  """Checks that the model has a backbone, which computes the features.

  Raises:
    UserError: if the model has no backbone.
  """
  if config.model.backbone == 'none':
    raise errors.UserError(
      'The feature distance needs a model with a backbone (`model.backbone`), '
      'which this model lacks. Leave out --num_feature_images.'
    )


def _features_of_sets(
  params: parameters.Params,
  rgb: jax.Array,
  indices: jax.Array,
  *,
  model: pic.PIC,
  seed: int,
) -> dict[str, jax.Array]:
  """Computes the features of all `SETS` of pictures for a batch of images.

  Args:
    params: parameters of the model.
    rgb: [B, H, W, 3] uint8, the originals.
    indices: [B] indices of the images in their source.
    model: model that draws the samples.
    seed: seed of the samples.

  Returns:
    Features [B, ...], keyed by '<set>_<part>'.
  """
  lab = model.split_lab(rgb)
  keys = sample.image_keys(seed, indices)
  spec = conditions.SamplingSpec()
  drawn = sample.draw(model, params, lab.luminance, keys=keys, spec=spec)
  pictures_fn = functools.partial(pictures.to_rgb, model, lab.luminance)
  pictures_of_sets = {
    'samples': pictures_fn(drawn.chroma)[:, 0],
    'floor': pictures_fn(lab.chroma[:, None])[:, 0],
    'originals': rgb,
    'grey': pictures.grey_picture(model, lab),
  }
  return {
    f'{name}_{part}': values
    for name, images in pictures_of_sets.items()
    for part, values in features(params, images).items()
  }


def measure(
  config: ml_collections.ConfigDict,
  params: parameters.Params,
  source: image_source.ImageSource,
  *,
  num_images: int,
) -> dict[str, Any]:
  """Draws one sample of each of the first images and measures all `SETS`.

  The reference is `NUM_REFERENCE` random photographs of `data.train_split`, or
  all if there are fewer. Samples are drawn at temperature 1, without guidance.
  Chroma is interpolated linearly, as in --mode=sample.

  Args:
    config: config with the model, data and sampling sections.
    params: averaged parameters, replicated over the local devices.
    source: images; see `input_pipeline.open_source`.
    num_images: number of images to measure; -1 for all.

  Returns:
    '<set>_distance_taps' and '<set>_distance_head' for each of `SETS`, and
    'num_feature_images'.

  Raises:
    UserError: see `check`; or if the training images cannot be opened.
  """
  check(config)
  model, seed = run_config.build_model(config), config.sampling.seed
  training = input_pipeline.open_source(config.data, config.data.train_split)
  chosen = np.random.default_rng(0).permutation(len(training))[:NUM_REFERENCE]

  features_fn = devices.pmap(
    functools.partial(_features_of_sets, model=model, seed=seed)
  )
  features_of_sets = likelihood.score_images(
    lambda *batch: features_fn(params, *devices.shard(batch)),
    source,
    config.sampling.batch_size,
    num_images=num_images,
  )
  reference = features_of_all(
    jax.device_put(devices.fetch(params)), list(_readable(training, chosen))
  )
  count = len(features_of_sets['originals_taps'])
  report: dict[str, Any] = {'num_feature_images': count}
  for name in SETS:
    for part in PARTS:
      report[f'{name}_distance_{part}'] = distance(
        features_of_sets[f'{name}_{part}'], reference[part]
      )
  return report


def _readable(
  source: image_source.ImageSource, indices: np.ndarray
) -> Iterator[np.ndarray]:
  """Yields the images of a source, without those that cannot be read."""
  for index in indices:
    # `Tolerant` warns about the image, or ends the run if there are too many.
    with contextlib.suppress(unreadable.UnreadableError):
      yield source[index]


def to_text(report: dict[str, Any]) -> str:
  """Formats the report as a table."""
  rows: list[tuple[str, ...]] = [('feature distance', 'taps', 'head')]
  for name in SETS:
    values = (report[f'{name}_distance_{part}'] for part in PARTS)
    rows.append((name, *(f'{value:.2f}' for value in values)))
  return (
    f'{report["num_feature_images"]} images, one sample each\n'
    f'{terminal.table(rows)}'
  )
