"""Colours that are offered: exact shares, unlike one another."""

import numpy as np
import pytest

from pic_jax.app import palette
from pic_jax.images import color
from pic_jax.model import logistic_mixture


def bins(*peaks):
  """Shares of (a, b) in Lab units."""
  shares = np.zeros((64, 64))
  for chroma, share in peaks:
    one = palette.bins_of_samples(np.array([chroma], float))
    assert one.sum() == pytest.approx(1) and one.max() == 1
    shares += share * one
  return shares


def test_bins_sum_the_exact_pmf():
  rng = np.random.default_rng(0)
  theta = rng.normal(0, 1, 16).astype(np.float32)
  luminance = np.array([0.3], np.float32)
  shares = np.asarray(palette.bins_of(theta, luminance))
  assert shares.sum() == pytest.approx(1, abs=1e-4)
  # One bin by hand: a in -7..-4, b in 0..3 (bins begin at -127 and -128).
  a, b = np.mgrid[-7:-3, 0:4]
  chroma = color.chroma_to_network(np.stack([a, b], -1).astype(np.float32))
  log_prob = logistic_mixture.log_prob(
    np.broadcast_to(theta, (4, 4, 16)),
    np.broadcast_to(luminance, (4, 4, 1)),
    chroma,
  )
  assert shares[30, 32] == pytest.approx(np.exp(log_prob).sum(), rel=1e-4)


def test_the_likeliest_come_first_and_are_unlike():
  found = palette.colours(bins(((60, 40), 0.6), ((-30, 30), 0.4)), 60.0)
  assert [colour.share for colour in found[:2]] == pytest.approx(
    [0.6 * 0.86, 0.4 * 0.86], rel=0.05
  )  # of a Gaussian, what lies within two deviations
  for colour, wanted in zip(found, ((60, 40), (-30, 30)), strict=False):
    lab = color.rgb_to_lab(np.array([[colour.rgb]], np.uint8))[0, 0]
    np.testing.assert_allclose(lab[1:], wanted, atol=2.5)
    assert lab[0] == pytest.approx(60, abs=1)
  assert len(palette.colours(bins(((0, 0), 1.0)), 60.0)) < 8


def test_colours_can_be_told_in_the_dark():
  for lightness, shown in ((0.0, 40), (100.0, 80)):
    colour, *_ = palette.colours(bins(((20, 20), 1.0)), lightness)
    lab = color.rgb_to_lab(np.array([[colour.rgb]], np.uint8))[0, 0]
    assert lab[0] == pytest.approx(shown, abs=1)
