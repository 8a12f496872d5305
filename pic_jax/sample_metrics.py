"""Metrics of samples: error, diversity, calibration, colours (paper sec. 4)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax import (
  calibration,
  color,
  devices,
  evaluate,
  input_pipeline,
  logistic_mixture,
  metrics,
  sample,
)
from pic_jax import config as config_lib
from pic_jax import model as model_lib

NUM_SAMPLES = 8
TEMPERATURE = 1.0
# An image's samples take the numbers from 0 on of its key.
TRANSFORM_STREAM = 2**32 - 1

# What is printed: heads of the columns; label and scores of each row.
TABLE = (
  (
    ('one sample', 'best of {n}', 'mean of {n}'),
    {
      'ab error, Lab': (
        'ab_rmse',
        'ab_rmse_best_of_{n}',
        'ab_rmse_mean_of_{n}',
      ),
      'PSNR, dB': ('psnr', 'psnr_best_of_{n}', 'psnr_mean_of_{n}'),
      'SSIM': ('ssim', 'ssim_best_of_{n}', 'ssim_mean_of_{n}'),
    },
  ),
  (
    ('samples', 'embedding alone', 'grey'),
    {
      'energy score, Lab': (
        'energy_score',
        'embedding_energy_score',
        'grey_energy_score',
      ),
      'difference, Lab': ('pairwise_difference',),
      'variance, Lab^2': ('ab_variance',),
      'bits/dim of samples': ('sample_bits_per_dim',),
      'minus that of originals': ('typicality_gap',),
    },
  ),
  (
    ('one sample', 'embedding mode', 'original'),
    {
      'colourfulness': (
        'colourfulness',
        'embedding_mode_colourfulness',
        'original_colourfulness',
      ),
      'saturation, %': (
        'saturation',
        'embedding_mode_saturation',
        'original_saturation',
      ),
    },
  ),
  (('a', 'b given a'), {'PIT distance': ('pit_a_distance', 'pit_b_distance')}),
)


def picture_scores(
  rgb: jax.Array, lab: model_lib.LabBatch, chroma: jax.Array, chroma_filter: str
) -> dict[str, jax.Array]:
  """Scores [B] of any colourisations, by what they look like.

  Args:
    rgb: [B, H, W, 3] uint8, the originals.
    lab: the same, split.
    chroma: [B, S, h, w, 2] in network units.
    chroma_filter: see `color.upsample`.
  """
  num_samples = chroma.shape[1]
  canvases = jnp.concatenate([chroma, chroma.mean(1, keepdims=True)], 1)
  pictures = sample.to_rgb(lab.luminance, canvases, chroma_filter)
  samples = color.chroma_from_network(chroma)
  target = color.chroma_from_network(lab.chroma)
  errors = {
    'ab_rmse': metrics.ab_rmse(
      color.chroma_from_network(canvases), target[:, None]
    ),
    'psnr': metrics.psnr(pictures, rgb[:, None]),
    'ssim': metrics.ssim(pictures, rgb[:, None]),
  }  # [B, S + 1]
  scores = {}
  for name, values in errors.items():
    drawn = values[:, :num_samples]
    best = drawn.min(1) if name == 'ab_rmse' else drawn.max(1)
    scores[name] = drawn[:, 0]
    scores[f'{name}_best_of_{num_samples}'] = best
    scores[f'{name}_mean_of_{num_samples}'] = values[:, num_samples]
  grey = jnp.zeros_like(samples[:, :1])
  return (
    scores
    | {
      'pairwise_difference': metrics.pairwise_difference(samples),
      'ab_variance': metrics.variance(samples),
      'energy_score': metrics.energy_score(samples, target),
      'grey_energy_score': metrics.energy_score(grey, target),
    }
    | _colours('', pictures[:, 0])
    | _colours('original_', rgb)
  )


def _colours(prefix: str, rgb: jax.Array) -> dict[str, jax.Array]:
  """Colourfulness and saturation [B] of pictures [B, H, W, 3] uint8."""
  return {
    f'{prefix}colourfulness': metrics.colourfulness(rgb),
    f'{prefix}saturation': metrics.saturation(color.rgb_to_lab(rgb)),
  }


def likelihood_scores(
  theta: jax.Array,
  lab: model_lib.LabBatch,
  log_prob: jax.Array,
  keys: jax.Array,
) -> dict[str, jax.Array]:
  """Scores [B, ...] of a model that knows how probable its samples are.

  The typicality gap is the bits/dim of the model's own samples, its entropy,
  minus that of the original: 0 if the original is as probable as a sample
  (Nalisnick et al. 2019, "typicality").

  Args:
    theta: [B, h, w, P] raw outputs, given the original's pixels before.
    lab: the originals.
    log_prob: [B S, h, w] of the samples, in nats.
    keys: [B], one PRNG key per image.
  """
  original = metrics.bits_per_dim(
    logistic_mixture.log_prob(theta, lab.luminance_small, lab.chroma)
  )
  own = metrics.bits_per_dim(log_prob).reshape(len(keys), -1).mean(1)
  noise = jax.vmap(
    lambda key: jax.random.uniform(
      jax.random.fold_in(key, TRANSFORM_STREAM), lab.chroma.shape[1:]
    )
  )(keys)
  transformed = calibration.transform(
    theta, lab.luminance_small, lab.chroma, noise
  )
  return {
    'sample_bits_per_dim': own,
    'typicality_gap': own - original,
    'pit_a': calibration.histogram(transformed[..., 0]),
    'pit_b': calibration.histogram(transformed[..., 1]),
  }


def embedding_scores(
  theta: jax.Array, lab: model_lib.LabBatch, keys: jax.Array, chroma_filter: str
) -> dict[str, jax.Array]:
  """Scores [B] of the embedding's own mixture: pixels without a decoder.

  Args:
    theta: [B, h, w, P], the embedding's first channels.
    lab: the originals.
    keys: [B], one PRNG key per image.
    chroma_filter: see `color.upsample`.
  """
  samples = sample.sample_independently(
    theta, lab.luminance_small, keys, NUM_SAMPLES, TEMPERATURE
  )
  mode = logistic_mixture.mode(theta, lab.luminance_small)[:, None]
  picture = sample.to_rgb(lab.luminance, mode, chroma_filter)[:, 0]
  return {
    'embedding_energy_score': metrics.energy_score(
      color.chroma_from_network(samples), color.chroma_from_network(lab.chroma)
    )
  } | _colours('embedding_mode_', picture)


class SampleEvaluator:
  """Draws `NUM_SAMPLES` of every image of a split and measures them.

  An image's samples depend on its number and `sampling.seed`, as in
  --mode=sample, but for the temperature, which is 1.
  """

  def __init__(self, config: ml_collections.ConfigDict):
    """Builds what is mapped over devices.

    Raises:
      ConfigError: images are too small for `metrics.ssim`.
    """
    if config.data.image_size < metrics.SSIM_WINDOW:
      raise config_lib.ConfigError(
        f'`data.image_size` must be at least {metrics.SSIM_WINDOW} for '
        f'--metrics=all, got {config.data.image_size}.'
      )
    self._sampling = config.sampling
    self._filter = config.data.chroma_filter
    self._model = config_lib.build_model(config)
    self._score = devices.pmap(self._score_fn)

  def __call__(
    self, params: Any, source: Sequence[np.ndarray], num_images: int
  ) -> dict[str, Any]:
    """Measures samples of the first images of a source.

    Every host draws its share and gets the whole report.

    Args:
      params: replicated (averaged) parameters.
      source: see `input_pipeline.open_source`.
      num_images: -1 for all.

    Returns:
      Means over images of every score, `<score>_stderr`, the distances of the
      two transforms from uniform, `num_sampled_images`, `num_samples`.
    """
    pending, masks = [], []
    for rgb, indices, mask in input_pipeline.eval_batches(
      source,
      devices.round_up(self._sampling.batch_size),
      num_images,
      jax.process_index(),
      jax.process_count(),
    ):
      pending.append(self._score(params, *devices.shard((rgb, indices))))
      masks.append(mask)
    scores = evaluate.gather(pending, masks)
    report = evaluate.means(scores)
    for name in ('pit_a', 'pit_b'):
      if name in report:
        report[f'{name}_distance'] = calibration.distance(report[name])
    return report | {
      'num_sampled_images': len(scores['ab_rmse']),
      'num_samples': NUM_SAMPLES,
    }

  def _score_fn(
    self, params: dict, rgb: jax.Array, indices: jax.Array
  ) -> dict[str, jax.Array]:
    """Scores [b, ...] of images [b, H, W, 3] with their numbers [b]."""
    model = self._model
    lab = model_lib.split_lab(rgb, model.chroma_factor, self._filter)
    keys = sample.image_keys(self._sampling.seed, indices)
    chroma, log_prob = sample.run(
      model,
      params,
      lab.luminance,
      keys,
      NUM_SAMPLES,
      TEMPERATURE,
      'cached',  # the method that gives probabilities
      self._filter,
    )
    theta, embedding = model.apply(
      {'params': params}, lab.luminance, lab.chroma
    )
    scores = picture_scores(rgb, lab, chroma, self._filter)
    scores |= likelihood_scores(theta, lab, log_prob, keys)
    if model.embedding_loss_weight:
      own = embedding[..., : model.num_outputs]
      scores |= embedding_scores(own, lab, keys, self._filter)
    return scores


def _cell(report: dict[str, Any], name: str) -> str:
  if name not in report:
    return ''
  text = f'{report[name]:.3f}'
  stderr = report.get(f'{name}_stderr')
  return text if stderr is None else f'{text} +- {stderr:.3f}'


def to_text(report: dict[str, Any]) -> str:
  """The report as a table for a reader; what was not measured stays empty."""
  number = report['num_samples']
  lines = [f'{report["num_sampled_images"]} images, {number} samples each']
  for heads, rows in TABLE:
    names = [name.format(n=number) for row in rows.values() for name in row]
    if not any(name in report for name in names):
      continue
    cells = [('', *(head.format(n=number) for head in heads))]
    for label, row in rows.items():
      cells.append(
        (label, *(_cell(report, name.format(n=number)) for name in row))
      )
    for label, *values in cells:
      columns = ''.join(f'{value:<20}' for value in values)
      lines.append(f'{label:<25}{columns}'.rstrip())
  return '\n'.join(lines)
