"""Metrics of samples of a test split, as a report and as a table."""

from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from pic_jax.evaluation import (
  calibration,
  like_cells,
  likelihood,
  metrics,
  sample_scores,
)
from pic_jax.model import parameters, pic
from pic_jax.runtime import devices, errors, terminal
from pic_jax.sampling import conditions, sample
from pic_jax.saved import run_config

NUM_SAMPLES = 8
TEMPERATURE = 1.0
# What is printed: columns (head, score of a name) and rows (label, name).
TABLE = (
  (
    {
      'one sample': '{name}',
      'best of {n}': '{name}_best_of_{n}',
      'mean of {n}': '{name}_mean_of_{n}',
    },
    {'ab error, Lab': 'ab_rmse', 'PSNR, dB': 'psnr', 'SSIM': 'ssim'},
  ),
  (
    {
      'samples': '{name}',
      'embedding alone': 'embedding_{name}',
      'grey': 'grey_{name}',
    },
    {
      'energy score, Lab': 'energy_score',
      'the same, all scales': 'energy_score_multiscale',
      'difference, Lab': 'pairwise_difference',
      'variance, Lab^2': 'ab_variance',
      'like cells, Lab': 'like_cells',
      'bits/dim of samples': 'sample_bits_per_dim',
      'minus that of originals': 'typicality_gap',
    },
  ),
  (
    {
      'one sample': '{name}',
      'embedding mode': 'embedding_mode_{name}',
      'original': 'original_{name}',
    },
    {'colourfulness': 'colourfulness', 'saturation, %': 'saturation'},
  ),
  (
    {'a': 'pit_a_{name}', 'b given a': 'pit_b_{name}'},
    {'PIT distance': 'distance'},
  ),
)


def check(config: ml_collections.ConfigDict) -> None:
  """Checks that samples can be measured.

  Raises:
    UserError: images are too small for `metrics.ssim`.
  """
  if config.data.image_size < metrics.SSIM_WINDOW:
    raise errors.UserError(
      f'`data.image_size` must be at least {metrics.SSIM_WINDOW} to measure '
      f'samples, got {config.data.image_size}.'
    )


def measure(
  config: ml_collections.ConfigDict,
  params: parameters.Params,
  source: Sequence[np.ndarray],
  *,
  num_images: int,
  film: str = 'clean',
) -> dict[str, Any]:
  """Draws `NUM_SAMPLES` of each of the first images and measures them.

  An image's samples depend on its number and `sampling.seed`, as in
  --mode=sample, but the temperature is 1. Every host draws its share and gets
  the whole report.

  Args:
    config: of the model and of sampling.
    params: replicated (averaged) parameters.
    source: see `input_pipeline.open_source`.
    num_images: -1 for all.
    film: see `likelihood.split_through_film`.

  Returns:
    Means over images of every score, `<score>_stderr`, the distances of the
    two transforms from uniform, `num_sampled_images`, `num_samples`.

  Raises:
    UserError: see `check`.
  """
  check(config)
  model, seed = run_config.build_model(config), config.sampling.seed
  score = devices.pmap(
    lambda params, rgb, indices: score_samples(
      model,
      params,
      rgb,
      lab=likelihood.split_through_film(model, rgb, film, indices=indices),
      keys=sample.image_keys(seed, indices),
    )
  )
  scores = likelihood.score_images(
    lambda *batch: score(params, *devices.shard(batch)),
    source,
    config.sampling.batch_size,
    num_images=num_images,
  )
  alike = {}
  for name in ('like_cells', 'embedding_like_cells'):
    if name in scores:
      alike |= like_cells.mean_excess(scores.pop(name), name)
  report = likelihood.means(scores) | alike
  for name in ('pit_a', 'pit_b'):
    if name in report:
      report[f'{name}_distance'] = calibration.distance(report[name])
  return report | {
    'num_sampled_images': len(scores['ab_rmse']),
    'num_samples': NUM_SAMPLES,
  }


def score_samples(
  model: pic.PIC,
  params: parameters.Params,
  rgb: jax.Array,
  *,
  lab: pic.LabBatch,
  keys: jax.Array,
) -> dict[str, jax.Array]:
  """Scores [b, ...] of images [b, H, W, 3] uint8, split, with keys [b]."""
  spec = conditions.SamplingSpec(NUM_SAMPLES, TEMPERATURE)
  drawn = sample.draw(model, params, lab.luminance, keys=keys, spec=spec)
  scores = sample_scores.score_pictures(model, rgb, lab, chroma=drawn.chroma)
  if not model.has_likelihood:
    return scores
  found = model.apply(
    {'params': params}, lab.luminance, lab.chroma, method='score'
  )
  lab = model.coarsest(lab)
  scores |= sample_scores.score_likelihood(
    found, lab, drawn.log_prob, keys=keys
  )
  if model.embedding_has_likelihood:
    own = found.embedding[..., : model.num_outputs]
    independent = sample.sample_independently(
      own,
      lab.luminance_small,
      keys=keys,
      num_samples=NUM_SAMPLES,
      temperature=TEMPERATURE,
    )
    scores |= sample_scores.score_embedding(
      model, own, lab, samples=independent
    )
  return scores


def to_text(report: dict[str, Any]) -> str:
  """The report as a table for a reader, of what was measured."""
  number = report['num_samples']
  lines = [f'{report["num_sampled_images"]} images, {number} samples each']
  for columns, rows in TABLE:
    cells = []
    for label, name in rows.items():
      scores = (x.format(name=name, n=number) for x in columns.values())
      cells.append(
        (
          label,
          *(likelihood.format_score(report, score, 3) for score in scores),
        )
      )
    cells = [row for row in cells if any(row[1:])]
    if cells:
      cells.insert(0, ('', *(head.format(n=number) for head in columns)))
      lines.append(terminal.table(cells))
  return '\n'.join(lines)
