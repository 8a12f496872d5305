"""Bits per dimension of distributions that can be written down."""

import numpy as np

from pic_jax import color, metrics
from tests import tiny


def test_uniform_chroma_costs_eight_bits_per_dim():
  log_prob = np.full((3, 5, 7), -np.log(256.0**2))
  np.testing.assert_allclose(metrics.bits_per_dim(log_prob), [8, 8, 8])
  np.testing.assert_allclose(metrics.bits_per_image(log_prob), 16 * 35)


def test_pictures_are_measured_by_the_published_formulas():
  rgb = tiny.images(2, 5, 7)
  found = metrics.colourfulness(rgb)
  lab = np.asarray(color.rgb_to_lab(rgb))
  saturation = metrics.saturation(lab)
  for index in range(2):
    red, green, blue = np.moveaxis(rgb[index].astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = np.sqrt(np.var(rg) + np.var(yb))
    expected = spread + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    np.testing.assert_allclose(found[index], expected, rtol=1e-5)
    shares = [
      np.hypot(a, b) / np.sqrt(a * a + b * b + level * level)
      for level, a, b in lab[index].reshape(-1, 3).astype(np.float64)
    ]
    np.testing.assert_allclose(
      saturation[index], 100 * np.mean(shares), rtol=1e-5
    )
  assert metrics.saturation(np.zeros((1, 2, 3, 3)))[0] == 0


def test_differences_are_mean_distances_of_pairs():
  chroma = np.random.default_rng(0).normal(size=(3, 5, 7, 2))
  found = metrics.pairwise_differences(chroma)
  for i in range(3):
    for j in range(3):
      distance = np.sqrt(((chroma[i] - chroma[j]) ** 2).sum(-1)).mean()
      np.testing.assert_allclose(found[i, j], distance, atol=1e-5)
