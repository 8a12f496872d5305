"""Scores of samples: error, diversity, calibration, colours (paper sec. 4)."""

import jax
import jax.numpy as jnp

from pic_jax.evaluation import calibration, like_cells, metrics
from pic_jax.images import color, color_statistics
from pic_jax.model import logistic_mixture, pic
from pic_jax.sampling import pictures

# An image's samples take the numbers from 0 on of its key.
TRANSFORM_STREAM = 2**32 - 1


def score_pictures(
  model: pic.PIC, rgb: jax.Array, lab: pic.LabBatch, *, chroma: jax.Array
) -> dict[str, jax.Array]:
  """Scores [B, ...] of any colourisations, by what they look like.

  Args:
    model: knows the grid of the chroma.
    rgb: [B, H, W, 3] uint8, the originals.
    lab: the same, split.
    chroma: [B, S, h, w, 2] in network units.
  """
  num_samples = chroma.shape[1]
  canvases = jnp.concatenate([chroma, chroma.mean(1, keepdims=True)], 1)
  shown = pictures.to_rgb(model, lab.luminance, canvases)
  samples = color.chroma_from_network(chroma)
  target = color.chroma_from_network(lab.chroma)
  errors = {
    'ab_rmse': metrics.ab_rmse(
      color.chroma_from_network(canvases), target[:, None]
    ),
    'psnr': metrics.psnr(shown, rgb[:, None]),
    'ssim': metrics.ssim(shown, rgb[:, None]),
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
      'like_cells': like_cells.excess(lab.luminance_small, target, samples),
    }
    | _energies('', samples, target)
    | _energies('grey_', grey, target)
    | _colours('', shown[:, 0])
    | _colours('original_', rgb)
  )


def _energies(
  prefix: str, chroma: jax.Array, target: jax.Array
) -> dict[str, jax.Array]:
  """Energy scores [B] of chroma [B, S, h, w, 2] in Lab units."""
  return {
    f'{prefix}energy_score': metrics.energy_score(chroma, target),
    f'{prefix}energy_score_multiscale': metrics.energy_score_multiscale(
      chroma, target
    ),
  }


def _colours(prefix: str, rgb: jax.Array) -> dict[str, jax.Array]:
  """Colourfulness and saturation [B] of pictures [B, H, W, 3] uint8."""
  return {
    f'{prefix}colourfulness': color_statistics.colourfulness(rgb),
    f'{prefix}saturation': color_statistics.saturation(color.rgb_to_lab(rgb)),
  }


def score_likelihood(
  found: pic.Scores,
  lab: pic.LabBatch,
  log_prob: jax.Array,
  *,
  keys: jax.Array,
) -> dict[str, jax.Array]:
  """Scores [B, ...] of a model that knows how probable its samples are.

  The typicality gap is the bits/dim of the model's own samples, its entropy,
  minus that of the original: 0 if the original is as probable as a sample
  (Nalisnick et al. 2019, "typicality").

  Args:
    found: of the originals; theta knows the original's pixels before.
    lab: the originals on the decoder's grid; the transforms are its values'.
    log_prob: [B, S, h, w] of the samples, in nats.
    keys: [B], one PRNG key per image.
  """
  original = logistic_mixture.bits_per_dim(found.on_finest_grid())
  own = logistic_mixture.bits_per_dim(log_prob).mean(1)
  size = lab.chroma[0].size  # flat, see `logistic_mixture.noise`
  noise = jax.vmap(
    lambda key: jax.random.uniform(
      jax.random.fold_in(key, TRANSFORM_STREAM), size
    )
  )(keys).reshape(lab.chroma.shape)
  transformed = calibration.transform(
    found.theta, lab.luminance_small, lab.chroma, noise=noise
  )
  return {
    'sample_bits_per_dim': own,
    'typicality_gap': own - original,
    'pit_a': calibration.histogram(transformed[..., 0]),
    'pit_b': calibration.histogram(transformed[..., 1]),
  }


def score_embedding(
  model: pic.PIC,
  theta: jax.Array,
  lab: pic.LabBatch,
  *,
  samples: jax.Array,
) -> dict[str, jax.Array]:
  """Scores [B, ...] of the embedding's own mixture: pixels without a decoder.

  Args:
    model: knows the grid of the chroma.
    theta: [B, h, w, P], the embedding's first channels.
    lab: the originals on the decoder's grid.
    samples: [B, S, h, w, 2] of it, in network units.
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
