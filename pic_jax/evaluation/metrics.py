"""Metrics of samples and pictures (paper sec. 4)."""

import jax
import jax.numpy as jnp
import numpy as np

# Wang et al. 2004, sec. III: side and deviation of the window, in pixels.
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


def difference_matrix(chroma: jax.Array) -> jax.Array:
  """Mean distance in (a, b) between each pair of samples of an image.

  Args:
    chroma: [S, h, w, 2] in Lab units.

  Returns:
    [S, S], Lab units.
  """
  # One row at a time: all differences at once need S times the memory.
  return jax.lax.map(
    lambda x: jnp.linalg.norm(x[None] - chroma, axis=-1).mean((1, 2)), chroma
  )


def pairwise_difference(chroma: jax.Array) -> jax.Array:
  """[B] mean distance in (a, b), over pixels and pairs of different samples.

  Args:
    chroma: [B, S, h, w, 2] in Lab units.

  Returns:
    [B], Lab units; 0 for one sample.
  """
  num_samples = chroma.shape[1]
  total = jax.vmap(difference_matrix)(chroma).sum((1, 2))
  return total / max(1, num_samples * (num_samples - 1))


def variance(chroma: jax.Array) -> jax.Array:
  """[B] unbiased variance over samples, mean over pixels and a and b.

  Args:
    chroma: [B, S, h, w, 2] in Lab units.

  Returns:
    [B], squared Lab units; 0 for one sample.
  """
  squares = (chroma - chroma.mean(1, keepdims=True)) ** 2
  return squares.sum(1).mean((1, 2, 3)) / max(1, chroma.shape[1] - 1)


def ab_rmse(chroma: jax.Array, target: jax.Array) -> jax.Array:
  """Root-mean-square length of the error in (a, b): |x - y| / sqrt(h w).

  An RMSE that also averages over a and b would be smaller by a factor sqrt(2).

  Args:
    chroma, target: [..., h, w, 2] in Lab units.

  Returns:
    [...], Lab units.
  """
  squares = ((chroma - target) ** 2).sum(-1)
  return jnp.sqrt(squares.mean((-2, -1)))


def energy_score(chroma: jax.Array, target: jax.Array) -> jax.Array:
  """Scores a distribution by its samples; lower is better.

  E|X - y| - E|X - X'| / 2 with |.| = `ab_rmse`, a norm of the whole map, and
  the unbiased mean over pairs of different samples: strictly proper, the true
  distribution is expected to score best (Gneiting & Raftery 2007, sec. 4.3).

  Args:
    chroma: [B, S, h, w, 2] in Lab units; S = 1 is a point forecast.
    target: [B, h, w, 2] in Lab units.

  Returns:
    [B], Lab units.
  """
  num_samples = chroma.shape[1]
  error = ab_rmse(chroma, target[:, None]).mean(1)
  pairs = ab_rmse(chroma[:, :, None], chroma[:, None]).sum((1, 2))
  return error - 0.5 * pairs / max(1, num_samples * (num_samples - 1))


def energy_score_multiscale(chroma: jax.Array, target: jax.Array) -> jax.Array:
  """Mean of the energy scores of maps at all scales; lower is better.

  The scales are the map itself and its means over blocks of 2 x 2 pixels, 4 x 4
  and so on, while both sides are even. The score is strictly proper: all terms
  are proper, and the first one strictly. The norm of a whole map is hardly
  sensitive to dependence between pixels (Pinson & Tastu 2013); block means are.

  Args:
    chroma: [B, S, h, w, 2] in Lab units.
    target: [B, h, w, 2] in Lab units.

  Returns:
    [B], Lab units.
  """

  def halve(x: jax.Array) -> jax.Array:
    *lead, height, width, channels = x.shape
    squares = x.reshape(*lead, height // 2, 2, width // 2, 2, channels)
    return squares.mean((-4, -2))

  scores = [energy_score(chroma, target)]
  while target.shape[1] % 2 == target.shape[2] % 2 == 0:
    chroma, target = halve(chroma), halve(target)
    scores.append(energy_score(chroma, target))
  return sum(scores) / len(scores)


def psnr(rgb: jax.Array, target: jax.Array) -> jax.Array:
  """Peak signal-to-noise ratio, 10 log10(255^2 / mean squared error).

  Args:
    rgb, target: [..., H, W, 3] uint8.

  Returns:
    [...] dB. Identical pictures count as if one value differed by one level.
  """
  error = jnp.asarray(rgb, jnp.float32) - jnp.asarray(target, jnp.float32)
  smallest = 1.0 / np.prod(rgb.shape[-3:])
  squares = jnp.maximum((error**2).mean((-3, -2, -1)), smallest)
  return 10.0 * jnp.log10(255.0**2 / squares)


def _gaussian_rows(size: int) -> np.ndarray:
  """Weights [size - 10, size] of every window that fits into a row."""
  offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
  weights = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
  rows = np.zeros((size - SSIM_WINDOW + 1, size), np.float32)
  for index, row in enumerate(rows):
    row[index : index + SSIM_WINDOW] = weights / weights.sum()
  return rows


def ssim(rgb: jax.Array, target: jax.Array) -> jax.Array:
  """Structural similarity, mean over windows and R, G, B (Wang et al. 2004).

  Args:
    rgb, target: [..., H, W, 3] uint8, sides at least `SSIM_WINDOW`.

  Returns:
    [...], at most 1.
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
