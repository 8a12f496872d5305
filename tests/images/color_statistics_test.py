"""Colourfulness and saturation, by the published formulas."""

import numpy as np

from pic_jax.images import color, color_statistics
from tests import tiny


def test_colourfulness_and_saturation_follow_the_published_formulas():
  rgb = tiny.images(2, 5, 7)
  actual = color_statistics.colourfulness(rgb)
  lab = np.asarray(color.rgb_to_lab(rgb))
  saturation = color_statistics.saturation(lab)
  for index in range(2):
    red, green, blue = np.moveaxis(rgb[index].astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = np.sqrt(np.var(rg) + np.var(yb))
    expected = spread + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    np.testing.assert_allclose(actual[index], expected, rtol=1e-5)
    shares = [
      np.hypot(a, b) / np.sqrt(a * a + b * b + luminance**2)
      for luminance, a, b in lab[index].reshape(-1, 3).astype(np.float64)
    ]
    np.testing.assert_allclose(
      saturation[index], 100 * np.mean(shares), rtol=1e-5
    )
  assert color_statistics.saturation(np.zeros((1, 2, 3, 3)))[0] == 0
