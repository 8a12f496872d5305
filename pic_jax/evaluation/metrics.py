"""Metrics of samples: diversity and similarity to originals (paper sec. 4)."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np

# Side and standard deviation of SSIM's Gaussian window, in pixels (Wang et al.
# 2004, sec. III).
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


def difference_matrix(chroma: jax.Array) -> jax.Array:
  """Computes the mean distance in (a, b) between every two samples of an image.

  Args:
    chroma: [S, h, w, 2] in Lab units.

  Returns:
    Distances [S, S] in Lab units, means over pixels.
  """
  # One sample after another, because computing all differences at once would
  # need S times the memory.
  return jax.lax.map(
    lambda x: jnp.linalg.norm(x[None] - chroma, axis=-1).mean((1, 2)), chroma
  )


def pairwise_difference(chroma: jax.Array) -> jax.Array:
  """Computes the mean distance in (a, b) between different samples of an image.

  Args:
    chroma: [B, S, h, w, 2] in Lab units.

  Returns:
    Distances [B] in Lab units, means over pixels and pairs of samples; 0 if
    S = 1.
  """
  num_samples = chroma.shape[1]
  total = jax.vmap(difference_matrix)(chroma).sum((1, 2))
  return total / max(1, num_samples * (num_samples - 1))


def variance(chroma: jax.Array) -> jax.Array:
  """Computes the unbiased variance over the samples of an image.

  Args:
    chroma: [B, S, h, w, 2] in Lab units.

  Returns:
    Variances [B] in squared Lab units, means over pixels and the two channels;
    0 if S = 1.
  """
  squares = (chroma - chroma.mean(1, keepdims=True)) ** 2
  return squares.sum(1).mean((1, 2, 3)) / max(1, chroma.shape[1] - 1)


def ab_rmse(chroma: jax.Array, target: jax.Array) -> jax.Array:
  """Computes the root-mean-square error in (a, b).

  It is |x - y| / sqrt(h w), where |.| is the Euclidean norm of a map of (a, b).
  The squared errors in a and b are added, not averaged. Their average would
  make the result smaller by a factor of sqrt(2).

  Args:
    chroma, target: [..., h, w, 2] in Lab units.

  Returns:
    Errors [...] in Lab units.
  """
  squares = ((chroma - target) ** 2).sum(-1)
  return jnp.sqrt(squares.mean((-2, -1)))


def energy_score(chroma: jax.Array, target: jax.Array) -> jax.Array:
  """Scores a distribution by its samples; lower is better.

  The score is E|X - y| - E|X - X'| / 2 for samples X, X' and the target y,
  where |X - y| is `ab_rmse` of X and y. The second mean is over pairs of
  different samples, so it is unbiased. The score is strictly proper: only the
  true distribution has the lowest expected score (Gneiting & Raftery 2007, sec.
  4.3).

  Args:
    chroma: samples [B, S, h, w, 2] in Lab units; S = 1 is a point forecast.
    target: [B, h, w, 2] in Lab units.

  Returns:
    Scores [B] in Lab units.
  """
  num_samples = chroma.shape[1]
  error = ab_rmse(chroma, target[:, None]).mean(1)
  pairs = ab_rmse(chroma[:, :, None], chroma[:, None]).sum((1, 2))
  return error - 0.5 * pairs / max(1, num_samples * (num_samples - 1))


def energy_score_multiscale(chroma: jax.Array, target: jax.Array) -> jax.Array:
  """Computes the mean of the energy scores at all scales; lower is better.

  The scales are the map itself and its means over blocks of 2 x 2 pixels, 4 x 4
  pixels and so on, as long as both sides are even. The score is strictly
  proper, because all its terms are proper and the first term is strictly
  proper. The energy score of a whole map is hardly sensitive to the dependence
  between pixels (Pinson & Tastu 2013). The energy scores of the block means are
  sensitive to it.

  Args:
    chroma: samples [B, S, h, w, 2] in Lab units.
    target: [B, h, w, 2] in Lab units.

  Returns:
    Scores [B] in Lab units.
  """

  def halve(x: jax.Array) -> jax.Array:
    *lead, height, width, channels = x.shape
    blocks = x.reshape(*lead, height // 2, 2, width // 2, 2, channels)
    return blocks.mean((-4, -2))

  scores = [energy_score(chroma, target)]
  while target.shape[1] % 2 == target.shape[2] % 2 == 0:
    chroma, target = halve(chroma), halve(target)
    scores.append(energy_score(chroma, target))
  return functools.reduce(operator.add, scores) / len(scores)


def psnr(rgb: jax.Array, target: jax.Array) -> jax.Array:
  """Computes the peak signal-to-noise ratio.

  It is 10 log10(255^2 / mean squared error). Identical pictures are scored as
  if one of their values differed by 1, so the result is always finite.

  Args:
    rgb, target: [..., H, W, 3] uint8.

  Returns:
    Ratios [...] in dB.
  """
  error = jnp.asarray(rgb, jnp.float32) - jnp.asarray(target, jnp.float32)
  min_mean_square = 1.0 / np.prod(rgb.shape[-3:])
  mean_square = jnp.maximum((error**2).mean((-3, -2, -1)), min_mean_square)
  return 10.0 * jnp.log10(255.0**2 / mean_square)


def _gaussian_rows(size: int) -> np.ndarray:
  """Builds the weights of every window that fits into a row of `size` pixels.

  Returns:
    Weights [size - `SSIM_WINDOW` + 1, size] float32; each row sums to 1.
  """
  offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
  weights = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
  rows = np.zeros((size - SSIM_WINDOW + 1, size), np.float32)
  for index, row in enumerate(rows):
    row[index : index + SSIM_WINDOW] = weights / weights.sum()
  return rows


def ssim(rgb: jax.Array, target: jax.Array) -> jax.Array:
  """Computes the structural similarity (SSIM; Wang et al. 2004).

  Args:
    rgb, target: [..., H, W, 3] uint8, with sides of at least `SSIM_WINDOW`.

  Returns:
    Similarities [...], means over windows and over R, G and B; at most 1.
  """
  height, width = rgb.shape[-3:-1]

  def local_mean(x: jax.Array) -> jax.Array:
    return jnp.einsum(
      'iH,jW,...HWc->...ijc',
      _gaussian_rows(height),
      _gaussian_rows(width),
      x,
      precision='highest',
    )

  x, y = (jnp.asarray(z, jnp.float32) for z in (rgb, target))
  mean_x, mean_y = local_mean(x), local_mean(y)
  variances = local_mean(x * x) - mean_x**2 + local_mean(y * y) - mean_y**2
  covariance = local_mean(x * y) - mean_x * mean_y
  c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al. 2004, sec. III
  similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
  similarity /= (mean_x**2 + mean_y**2 + c1) * (variances + c2)
  return similarity.mean((-3, -2, -1))
