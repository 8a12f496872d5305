"""Scores of samples: error, diversity, calibration, colours (paper sec. 4)."""

import jax
import jax.numpy as jnp

from pic_jax.evaluation import calibration, like_cells, metrics
from pic_jax.images import color, color_statistics
from pic_jax.model import logistic_mixture, pic
from pic_jax.sampling import pictures

# Number that is folded into an image's key for the noise of the probability
# integral transform. The samples of the image fold in 0, 1, 2, ...
CALIBRATION_STREAM = 2**32 - 1


def score_pictures(
  model: pic.PIC, rgb: jax.Array, lab: pic.LabBatch, *, chroma: jax.Array
) -> dict[str, jax.Array]:
  """Computes the scores that need only pictures, not a likelihood.

  Args:
    model: model whose chroma grid is used.
    rgb: [B, H, W, 3] uint8, the originals.
    lab: the luminance that the model read, and the chroma of the originals.
    chroma: [B, S, h, w, 2], the samples, in network units.

  Returns:
    Scores [B, ...], keyed by name.
  """
  num_samples = chroma.shape[1]
  # [B, S + 1, h, w, 2]: the samples, then their mean.
  canvases = jnp.concatenate([chroma, chroma.mean(1, keepdims=True)], 1)
  colourised = pictures.to_rgb(model, lab.luminance, canvases)
  samples = color.chroma_from_network(chroma)
  target = color.chroma_from_network(lab.chroma)
  comparisons = {
    'ab_rmse': metrics.ab_rmse(
      color.chroma_from_network(canvases), target[:, None]
    ),
    'psnr': metrics.psnr(colourised, rgb[:, None]),
    'ssim': metrics.ssim(colourised, rgb[:, None]),
  }
  scores = {}
  for name, values in comparisons.items():
    sample_values = values[:, :num_samples]
    best = sample_values.min(1) if name == 'ab_rmse' else sample_values.max(1)
    scores[name] = sample_values[:, 0]
    scores[f'{name}_best_of_{num_samples}'] = best
    scores[f'{name}_mean_of_{num_samples}'] = values[:, num_samples]
  grey = jnp.zeros_like(samples[:, :1])
  return (
    scores
    | {
      'pairwise_difference': metrics.pairwise_difference(samples),
      'ab_variance': metrics.variance(samples),
      'like_cells': like_cells.excess(lab.luminance_small, target, samples),
    }
    | _energies('', samples, target)
    | _energies('grey_', grey, target)
    | _colours('', colourised[:, 0])
    | _colours('original_', rgb)
  )


def _energies(
  prefix: str, chroma: jax.Array, target: jax.Array
) -> dict[str, jax.Array]:
  """Computes the energy scores [B] of samples [B, S, h, w, 2] in Lab units."""
  return {
    f'{prefix}energy_score': metrics.energy_score(chroma, target),
    f'{prefix}energy_score_multiscale': metrics.energy_score_multiscale(
      chroma, target
    ),
  }


def _colours(prefix: str, rgb: jax.Array) -> dict[str, jax.Array]:
  """Computes colourfulness and saturation [B] of rgb [B, H, W, 3] uint8."""
  return {
    f'{prefix}colourfulness': color_statistics.colourfulness(rgb),
    f'{prefix}saturation': color_statistics.saturation(color.rgb_to_lab(rgb)),
  }


def score_likelihood(
  model_scores: pic.Scores,
  lab: pic.LabBatch,
  log_prob: jax.Array,
  *,
  keys: jax.Array,
) -> dict[str, jax.Array]:
  """Computes the scores that need a likelihood: typicality and calibration.

  The typicality gap is the mean bits/dim of the model's own samples (an
  estimate of its entropy) minus the bits/dim of the original. It is 0 if the
  original is as probable as an average sample (Nalisnick et al. 2019).

  Args:
    model_scores: result of `model.score` for the originals. The theta of a
      pixel was computed from the earlier pixels of the original.
    lab: the originals on the decoder's grid, for the calibration.
    log_prob: [B, S, h, w], log-probabilities of the samples, in nats.
    keys: [B], one PRNG key per image.

  Returns:
    Scores [B, ...], keyed by name.
  """
  original = logistic_mixture.bits_per_dim(model_scores.on_finest_grid())
  sample_bits = logistic_mixture.bits_per_dim(log_prob).mean(1)
  # Drawing a flat array compiles faster; see `logistic_mixture.noise`.
  size = lab.chroma[0].size
  noise = jax.vmap(
    lambda key: jax.random.uniform(
      jax.random.fold_in(key, CALIBRATION_STREAM), (size,)
    )
  )(keys).reshape(lab.chroma.shape)
  pits = calibration.transform(
    model_scores.theta, lab.luminance_small, lab.chroma, noise=noise
  )
  return {
    'sample_bits_per_dim': sample_bits,
    'typicality_gap': sample_bits - original,
    'pit_a': calibration.histogram(pits[..., 0]),
    'pit_b': calibration.histogram(pits[..., 1]),
  }


def score_embedding(
  model: pic.PIC,
  theta: jax.Array,
  lab: pic.LabBatch,
  *,
  samples: jax.Array,
) -> dict[str, jax.Array]:
  """Scores the embedding's own mixture, which colours pixels independently.

  Args:
    model: model with the embedding.
    theta: [B, h, w, P], the first P channels of the embedding.
    lab: the originals on the decoder's grid.
    samples: [B, S, h, w, 2], samples from this mixture, in network units.

  Returns:
    Scores [B, ...], keyed by name.
  """
  samples = color.chroma_from_network(samples)
  target = color.chroma_from_network(lab.chroma)
  mode = logistic_mixture.mode(theta, lab.luminance_small)[:, None]
  picture = pictures.to_rgb(model, lab.luminance, mode)[:, 0]
  excess = like_cells.excess(lab.luminance_small, target, samples)
  return (
    {'embedding_like_cells': excess}
    | _energies('embedding_', samples, target)
    | _colours('embedding_mode_', picture)
  )
