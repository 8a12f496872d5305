"""Metrics compared with scikit-image, with loops and with known values."""

import numpy as np
import pytest
import skimage.metrics

from pic_jax.evaluation import metrics
from tests import tiny


def test_differences_are_mean_distances_of_pairs():
  chroma = np.random.default_rng(0).normal(size=(3, 5, 7, 2))
  found = metrics.difference_matrix(chroma)
  for i in range(3):
    for j in range(3):
      distance = np.sqrt(((chroma[i] - chroma[j]) ** 2).sum(-1)).mean()
      np.testing.assert_allclose(found[i, j], distance, atol=1e-5)


def test_difference_and_variance_are_means_over_samples():
  chroma = np.random.default_rng(1).normal(size=(2, 3, 5, 7, 2))
  difference = metrics.pairwise_difference(chroma)
  for index, samples in enumerate(chroma):
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean(
      [np.hypot(*np.moveaxis(samples[i] - samples[j], -1, 0)) for i, j in pairs]
    )
    np.testing.assert_allclose(difference[index], expected, rtol=1e-5)
  np.testing.assert_allclose(
    metrics.variance(chroma), chroma.var(1, ddof=1).mean((1, 2, 3)), rtol=1e-5
  )
  equal = np.repeat(chroma[:, :1], 4, 1)
  for samples in (equal, chroma[:, :1]):
    np.testing.assert_array_equal(metrics.pairwise_difference(samples), [0, 0])
    np.testing.assert_array_equal(metrics.variance(samples), [0, 0])


def test_ab_rmse_is_the_root_mean_square_of_distances_in_ab():
  target = np.random.default_rng(2).normal(size=(3, 5, 7, 2))
  error = metrics.ab_rmse(
    target + np.array([3, -4.0])[None, None, None], target
  )
  np.testing.assert_allclose(error, [5, 5, 5], rtol=1e-6)
  chroma = target.copy()
  chroma[1, 2, 3, 1] += np.sqrt(35)
  error = metrics.ab_rmse(chroma, target)
  np.testing.assert_allclose(error, [0, 1, 0], rtol=1e-6)


def test_psnr_agrees_with_scikit_image():
  rgb, target = tiny.images(3, 13, 17), tiny.images(3, 13, 17, seed=1)
  actual = metrics.psnr(rgb, target)
  for index in range(3):
    expected = skimage.metrics.peak_signal_noise_ratio(
      target[index], rgb[index]
    )
    np.testing.assert_allclose(actual[index], expected, rtol=1e-5)
  # Equal pictures are scored as if one value differed by 1.
  one_level = rgb.copy()
  one_level[:, 2, 3, 1] ^= 1
  np.testing.assert_allclose(
    metrics.psnr(rgb, rgb), metrics.psnr(rgb, one_level), rtol=1e-6
  )


@pytest.mark.parametrize('size', [(16, 16), (11, 23), (32, 29)])
def test_ssim_agrees_with_scikit_image(size):
  target = tiny.images(4, *size)
  noise = np.random.default_rng(3).normal(0, 20, target.shape)
  rgb = np.clip(target + noise, 0, 255).astype(np.uint8)
  rgb[3], target[2:] = 255 - target[3], target[2:, ::-1]
  actual = metrics.ssim(rgb, target)
  for index in range(4):
    expected = skimage.metrics.structural_similarity(
      rgb[index],
      target[index],
      gaussian_weights=True,
      sigma=1.5,
      use_sample_covariance=False,
      data_range=255,
      channel_axis=-1,
    )
    np.testing.assert_allclose(actual[index], expected, atol=1e-4)
  np.testing.assert_allclose(metrics.ssim(rgb, rgb), np.ones(4), atol=1e-6)


def test_energy_score_agrees_with_a_loop():
  rng = np.random.default_rng(4)
  chroma, target = (
    rng.normal(size=(2, 3, 5, 7, 2)),
    rng.normal(size=(2, 5, 7, 2)),
  )
  found = metrics.energy_score(chroma, target)
  for index in range(2):
    samples = [x.reshape(-1) / np.sqrt(35) for x in chroma[index]]
    truth = target[index].reshape(-1) / np.sqrt(35)
    error = np.mean([np.linalg.norm(x - truth) for x in samples])
    pairs = [
      np.linalg.norm(samples[i] - samples[j])
      for i in range(3)
      for j in range(3)
      if i != j
    ]
    np.testing.assert_allclose(
      found[index], error - 0.5 * np.mean(pairs), rtol=1e-5
    )
  np.testing.assert_allclose(
    metrics.energy_score(chroma[:, :1], target),
    metrics.ab_rmse(chroma[:, 0], target),
    rtol=1e-6,
  )


def test_multiscale_energy_score_is_the_mean_over_scales():
  rng = np.random.default_rng(6)
  chroma = rng.normal(size=(2, 3, 4, 12, 2))
  target = rng.normal(size=(2, 4, 12, 2))

  def block_means(x: np.ndarray, side: int) -> np.ndarray:
    rows = []
    for i in range(0, 4, side):
      blocks = [
        x[..., i : i + side, j : j + side, :] for j in range(0, 12, side)
      ]
      rows.append(np.stack([block.mean((-3, -2)) for block in blocks], -2))
    return np.stack(rows, -3)

  expected = 0.0
  for side in (1, 2, 4):  # 4 x 12, 2 x 6, 1 x 3
    small, truth = block_means(chroma, side), block_means(target, side)
    expected += metrics.energy_score(small, truth) / 3
  np.testing.assert_allclose(
    metrics.energy_score_multiscale(chroma, target), expected, rtol=1e-5
  )


@pytest.mark.parametrize(
  'score_fn', [metrics.energy_score, metrics.energy_score_multiscale]
)
def test_energy_score_prefers_the_right_distribution(score_fn):
  """The pixels of a map share most of their colour, as in a picture."""
  rng = np.random.default_rng(5)

  def draw(num_samples: int, shared: float = 0.9) -> np.ndarray:
    common = rng.normal(size=(3000, num_samples, 1, 1, 2))
    pixels = rng.normal(size=(3000, num_samples, 4, 6, 2))
    return np.sqrt(shared) * common + np.sqrt(1 - shared) * pixels

  target = draw(1)[:, 0]
  forecasts = {
    'shifted': draw(8) + 0.7,
    'wide': 2.0 * draw(8),
    'narrow': 0.5 * draw(8),
    'independent pixels': draw(8, shared=0.0),
    'grey': np.zeros((3000, 1, 4, 6, 2)),
  }
  right = np.asarray(score_fn(draw(8), target))
  for name, chroma in forecasts.items():
    worse = np.asarray(score_fn(chroma, target)) - right
    assert worse.mean() > 4 * worse.std() / np.sqrt(3000), name
  # The expected score does not depend on the number of samples.
  few = np.asarray(score_fn(draw(2), target)) - right
  assert abs(few.mean()) < 3 * few.std() / np.sqrt(3000)
