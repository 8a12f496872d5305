"""Report of all metrics of samples, for --mode=eval (paper sec. 4)."""

from typing import Any

import jax
import ml_collections

from pic_jax.data import image_source
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
# Tables that `to_text` prints, each as (columns, rows). `columns` maps a
# heading to a pattern for keys of the report. `rows` maps a label to the name
# of the metric, which replaces `{name}` in the patterns.
TABLES = (
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
      'look-alike cells, Lab': 'like_cells',
      'bits/dim of samples': 'sample_bits_per_dim',
      'typicality gap': 'typicality_gap',
    },
  ),
  (
    {
      'one sample': '{name}',
      "embedding's mode": 'embedding_mode_{name}',
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
    UserError: if images are too small for `metrics.ssim`.
  """
  if config.data.image_size < metrics.SSIM_WINDOW:
    raise errors.UserError(
      f'`data.image_size` must be at least {metrics.SSIM_WINDOW} to measure '
      f'samples, got {config.data.image_size}.'
    )


def measure(
  config: ml_collections.ConfigDict,
  params: parameters.Params,
  source: image_source.ImageSource,
  *,
  num_images: int,
  film: str = 'clean',
) -> dict[str, Any]:
  """Draws `NUM_SAMPLES` samples of each of the first images and measures them.

  The samples of an image depend on its index and `sampling.seed`, as in
  --mode=sample, but are always drawn at temperature 1 and without guidance.
  Every host draws samples of its share of the images and gets the whole report.

  Args:
    config: config with the model, data and sampling sections.
    params: averaged parameters, replicated over the local devices.
    source: images; see `input_pipeline.open_source`.
    num_images: number of images to sample; -1 for all.
    film: see `likelihood.split_through_film`.

  Returns:
    Dict with the mean of every score over images and its standard error
    `<score>_stderr`; the results of `like_cells.mean_excess`; `pit_a_distance`
    and `pit_b_distance`, see `calibration.distance`; `num_sampled_images` and
    `num_samples`.

  Raises:
    UserError: see `check`.
  """
  check(config)
  model, seed = run_config.build_model(config), config.sampling.seed
  score_fn = devices.pmap(
    lambda params, rgb, indices: score_samples(
      model,
      params,
      rgb,
      lab=likelihood.split_through_film(model, rgb, film, indices=indices),
      keys=sample.image_keys(seed, indices),
    )
  )
  scores = likelihood.score_images(
    lambda *batch: score_fn(params, *devices.shard(batch)),
    source,
    config.sampling.batch_size,
    num_images=num_images,
  )
  like_cells_report = {}
  for name in ('like_cells', 'embedding_like_cells'):
    if name in scores:
      like_cells_report |= like_cells.mean_excess(scores.pop(name), name)
  report = likelihood.means(scores) | like_cells_report
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
  """Draws samples of a batch of images and computes all their scores.

  Args:
    model: model that draws the samples.
    params: parameters of the model.
    rgb: [b, H, W, 3] uint8, the originals.
    lab: the luminance that the model reads, and the chroma of the originals.
    keys: [b], one PRNG key per image.

  Returns:
    Scores [b, ...], keyed by name.
  """
  spec = conditions.SamplingSpec(NUM_SAMPLES, TEMPERATURE)
  drawn = sample.draw(model, params, lab.luminance, keys=keys, spec=spec)
  scores = sample_scores.score_pictures(model, rgb, lab, chroma=drawn.chroma)
  if not model.has_likelihood:
    return scores
  model_scores = model.apply(
    {'params': params}, lab.luminance, lab.chroma, method='score'
  )
  coarsest = model.coarsest(lab)
  scores |= sample_scores.score_likelihood(
    model_scores, coarsest, drawn.log_prob, keys=keys
  )
  if model.embedding_has_likelihood:
    embedding_theta = model_scores.embedding[..., : model.num_outputs]
    independent = sample.sample_independently(
      embedding_theta,
      coarsest.luminance_small,
      keys=keys,
      num_samples=NUM_SAMPLES,
      temperature=TEMPERATURE,
    )
    scores |= sample_scores.score_embedding(
      model, embedding_theta, coarsest, samples=independent
    )
  return scores


def to_text(report: dict[str, Any]) -> str:
  """Formats the report as tables, without rows that have no scores."""
  num_samples = report['num_samples']
  lines = [f'{report["num_sampled_images"]} images, {num_samples} samples each']
  for columns, rows in TABLES:
    table = []
    for label, name in rows.items():
      keys = (x.format(name=name, n=num_samples) for x in columns.values())
      table.append(
        (label, *(likelihood.format_score(report, key, 3) for key in keys))
      )
    table = [row for row in table if any(row[1:])]
    if table:
      headings = (heading.format(n=num_samples) for heading in columns)
      table.insert(0, ('', *headings))
      lines.append(terminal.table(table))
  return '\n'.join(lines)
