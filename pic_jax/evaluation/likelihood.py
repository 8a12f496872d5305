"""Held-out bits/dim of chroma given luminance (paper sec. 4.1 and 4.2)."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from pic_jax.data import image_source, input_pipeline
from pic_jax.images import film as old_film
from pic_jax.model import logistic_mixture, parameters, pic, winograd
from pic_jax.runtime import devices
from pic_jax.saved import run_config


def score_images(
  score_fn: Callable[[np.ndarray, np.ndarray], dict[str, jax.Array]],
  source: image_source.ImageSource,
  batch_size: int,
  *,
  num_images: int,
) -> dict[str, np.ndarray]:
  """Scores the first images of a source; every host scores its share of them.

  Args:
    score_fn: function of this host's images [b, H, W, 3] uint8 and their
      indices [b] in the source. It returns scores [D, b / D, ...], keyed by
      name, for the D local devices.
    source: images; see `input_pipeline.open_source`.
    batch_size: number of images in a batch over all hosts; it is rounded up to
      a multiple of the number of all devices.
    num_images: number of images to score; -1 for all.

  Returns:
    Scores [N, ...] float64, keyed by name, of the images of all hosts in the
    order of the source, without unreadable images.
  """
  pending, masks = [], []
  for rgb, indices, mask in input_pipeline.eval_batches(
    source,
    devices.round_up(batch_size),
    num_images,
    host=jax.process_index(),
    num_hosts=jax.process_count(),
  ):
    pending.append(score_fn(rgb, indices))
    masks.append(mask)
  batches = [devices.unshard(batch) for batch in pending]
  all_masks = devices.gather(np.stack(masks, 1)).T  # [batches, B]
  scores = {}
  for name in batches[0]:
    values = devices.gather(np.stack([batch[name] for batch in batches], 1))
    scores[name] = values.swapaxes(0, 1)[all_masks].astype(np.float64)
  return scores


def means(scores: dict[str, np.ndarray]) -> dict[str, Any]:
  """Computes the means over images of scores [N, ...].

  Returns:
    The means, keyed by score. If N > 1, also the standard errors, keyed by
    `<score>_stderr`.
  """
  report = {}
  for name, values in scores.items():
    report[name] = values.mean(0).tolist()
    if len(values) > 1:
      stderr = values.std(0, ddof=1) / np.sqrt(len(values))
      report[f'{name}_stderr'] = stderr.tolist()
  return report


def level_scores(
  model: pic.PIC, lab: pic.LabBatch, model_scores: pic.Scores
) -> dict[str, jax.Array]:
  """Computes the scores [B] of a model with levels, by the exact rule only.

  `level_<i>_bits_per_dim` are the bits of level i, divided by the number of
  chroma values of the finest map. Their sum over levels is `bits_per_dim`.
  `coarsest_bits_per_dim` are the bits of level 0, divided by the number of
  values of its own map. `embedding_bits_per_dim` scores the embedding's mixture
  on that map, if the embedding has a likelihood.

  Args:
    model: model with levels.
    lab: the images, from `split_through_film`.
    model_scores: result of `model.score` for these images.
  """
  dims = 2 * lab.chroma.shape[1] * lab.chroma.shape[2]
  bits = [
    logistic_mixture.bits_per_image(x) for x in model_scores.level_log_probs
  ]
  coarsest = model.coarsest(lab)
  scores = {'bits_per_dim': functools.reduce(operator.add, bits) / dims}
  scores |= {f'level_{i}_bits_per_dim': x / dims for i, x in enumerate(bits)}
  scores['coarsest_bits_per_dim'] = bits[0] / coarsest.chroma[0].size
  if model.embedding_has_likelihood:
    scores['embedding_bits_per_dim'] = logistic_mixture.bits_per_dim(
      logistic_mixture.log_prob(
        model_scores.embedding[..., : model.num_outputs],
        coarsest.luminance_small,
        coarsest.chroma,
      )
    )
  return scores


def split_through_film(
  model: pic.PIC, rgb: jax.Array, film: str, *, indices: jax.Array | None
) -> pic.LabBatch:
  """Splits images into the luminance that an old film shows, and true chroma.

  Args:
    model: model whose chroma grid is used.
    rgb: [B, H, W, 3] uint8.
    film: key of `old_film.FIXED`; 'clean' leaves the luminance unchanged.
    indices: [B] indices of the images, which are the seeds of the film's grain.
      They may be None for 'clean'.

  Raises:
    ValueError: if `indices` is None and the film is not 'clean'.
  """
  lab = model.split_lab(rgb)
  if film == 'clean':
    return lab
  if indices is None:
    raise ValueError(f'Film {film!r} needs the `indices` of the images.')
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), indices)
  luminance = jax.vmap(
    lambda image, key: old_film.fixed_film(film, image[None], key)[0]
  )(rgb, keys)
  return model.with_luminance(lab, luminance)


@functools.lru_cache(maxsize=8)
def score_fn(
  model: pic.PIC, film: str = 'clean'
) -> Callable[..., dict[str, jax.Array]]:
  """Builds a function that scores images by both rules, mapped over devices.

  The exact rule and the paper's rule (see `logistic_mixture`) share a forward
  pass, in which the decoder reads the rounded chroma. Both rules score the
  decoder's mixture, and also the embedding's mixture if the auxiliary loss
  trained it. Models with finer levels are scored only by the exact rule, and
  heads without a likelihood only by their loss. The built function is cached,
  so a model is compiled once.

  Args:
    model: model to score with.
    film: see `split_through_film`.

  Returns:
    A function of (params, rgb [D, b, H, W, 3] uint8) that returns scores
    [D, b], keyed by name. Unless the film is 'clean', it takes the indices
    [D, b] of the images as a third argument.
  """

  def score(
    params: parameters.Params, rgb: jax.Array, indices: jax.Array | None = None
  ) -> dict[str, jax.Array]:
    lab = split_through_film(model, rgb, film, indices=indices)
    head_loss = model.build_head().loss
    if head_loss is not None:
      theta, _ = model.apply({'params': params}, lab.luminance, lab.chroma)
      return {'loss': head_loss(theta, lab.chroma).mean((1, 2))}
    with winograd.allowed():
      model_scores = model.apply(
        {'params': params}, lab.luminance, lab.chroma, method='score'
      )
    if model.levels:
      return level_scores(model, lab, model_scores)
    outputs = {'': model_scores.theta}
    if model.has_decoder and model.embedding_has_likelihood:
      embedding_theta = model_scores.embedding[..., : model.num_outputs]
      outputs['embedding_'] = embedding_theta
    scores = {}
    for prefix, theta in outputs.items():
      exact = logistic_mixture.log_prob(theta, lab.luminance_small, lab.chroma)
      paper = logistic_mixture.log_prob_paper(
        theta, lab.luminance_small, lab.chroma_unrounded
      )
      for suffix, log_prob in (('', exact), ('_paper', paper)):
        bits = logistic_mixture.bits_per_dim(log_prob)
        scores[f'{prefix}bits_per_dim{suffix}'] = bits
    return scores

  return devices.pmap(score)


def evaluate(
  config: ml_collections.ConfigDict,
  params: parameters.Params,
  source: image_source.ImageSource,
  *,
  num_images: int = -1,
  film: str = 'clean',
) -> dict[str, Any]:
  """Scores each of the first images of a source once, without flips.

  The last batch is not dropped, however small it is. Every host scores its
  share of the images and gets the whole report.

  Args:
    config: config with the model, data and evaluation sections.
    params: averaged parameters, replicated over the local devices.
    source: images; see `input_pipeline.open_source`.
    num_images: number of images to score; -1 for all.
    film: see `split_through_film`.

  Returns:
    Dict with the mean of every score over images, its standard error
    `<score>_stderr`, and `bits_per_image`. For a head without a likelihood,
    the only score is `loss`, without class weights. Further keys are `head`,
    `num_images`, `num_unreadable` (number of images that were left out),
    `chroma_filter`, `chroma_factor` and `film`.
  """
  model = run_config.build_model(config)
  score = score_fn(model, film)
  num_arguments = 1 if film == 'clean' else 2
  scores = score_images(
    lambda *batch: score(params, *devices.shard(batch[:num_arguments])),
    source,
    config.evaluation.batch_size,
    num_images=num_images,
  )
  report = means(scores)
  dims = 2 * (config.data.image_size // model.chroma_factor) ** 2
  if 'bits_per_dim' in report:
    report['bits_per_image'] = report['bits_per_dim'] * dims
  num_scored = len(next(iter(scores.values())))
  num_requested = len(source)
  if num_images >= 0:
    num_requested = min(num_images, num_requested)
  return report | {
    'head': model.head,
    'num_images': num_scored,
    'num_unreadable': num_requested - num_scored,
    'chroma_filter': model.chroma_filter,
    'chroma_factor': model.chroma_factor,
    'film': film,
  }


def format_score(report: dict[str, Any], name: str, digits: int) -> str:
  """Formats a score with its standard error, if the report has one.

  Returns:
    The text; '' if the report does not have this score.
  """
  if name not in report:
    return ''
  text = f'{report[name]:.{digits}f}'
  stderr = report.get(f'{name}_stderr')
  return text if stderr is None else f'{text} +- {stderr:.{digits}f}'


def to_text(report: dict[str, Any]) -> str:
  """Formats the report as lines."""
  lines = [
    f'{report["num_images"]} images, chroma filter {report["chroma_filter"]}, '
    f'factor {report["chroma_factor"]}'
  ]
  if report['film'] != 'clean':
    lines.append(f'seen through the film: {report["film"]}')
  if report['num_unreadable']:
    lines.append(f'{report["num_unreadable"]} more images could not be read')
  embedding_name = 'embedding alone'
  model_name = 'decoder' if report['head'] == 'decoder' else embedding_name
  if 'coarsest_bits_per_dim' in report:
    model_name, embedding_name = 'all levels', 'embedding alone, level 0'
  for prefix, name in (('', model_name), ('embedding_', embedding_name)):
    if f'{prefix}bits_per_dim' in report:
      exact, paper = (
        format_score(report, f'{prefix}{rule}', 4)
        for rule in ('bits_per_dim', 'bits_per_dim_paper')
      )
      by_paper = f", {paper} by the paper's rule" if paper else ''
      lines.append(f'{name}: {exact} bits/dim{by_paper}')
  level = 0
  while f'level_{level}_bits_per_dim' in report:
    bits = format_score(report, f'level_{level}_bits_per_dim', 4)
    lines.append(f'level {level} contributes {bits} bits/dim')
    level += 1
  if 'coarsest_bits_per_dim' in report:
    bits = format_score(report, 'coarsest_bits_per_dim', 4)
    lines.append(f'level 0, per value of its own grid: {bits} bits/dim')
  if 'loss' in report:
    lines.append(f'loss {format_score(report, "loss", 4)}')
  else:
    lines.append(f'{report["bits_per_image"]:.1f} bits per image')
  return '\n'.join(lines)
