"""Colours of the palette, and their probabilities."""

import numpy as np
import pytest

from pic_jax.app import palette
from pic_jax.images import color
from pic_jax.model import logistic_mixture
from pic_jax.photos import brush


def bins(*pairs):
  """Returns the bin shares of a few colours.

  Args:
    *pairs: pairs of a colour (a, b), in Lab units, and its share.
  """
  shares = np.zeros((64, 64))
  for chroma, share in pairs:
    in_bins = palette.bin_shares_of_samples(np.array([chroma], float))
    assert in_bins.sum() == pytest.approx(1) and in_bins.max() == 1
    shares += share * in_bins
  return shares


def test_bin_shares_are_sums_of_exact_probabilities():
  rng = np.random.default_rng(0)
  theta = rng.normal(0, 1, 16).astype(np.float32)
  luminance = np.array([0.3], np.float32)
  shares = np.asarray(palette.bin_shares(theta, luminance))
  assert shares.sum() == pytest.approx(1, abs=1e-4)
  # Bin (30, 32) has a in -7..-4 and b in 0..3; values begin at (-127, -128).
  a, b = np.mgrid[-7:-3, 0:4]
  chroma = color.chroma_to_network(np.stack([a, b], -1).astype(np.float32))
  log_prob = logistic_mixture.log_prob(
    np.broadcast_to(theta, (4, 4, 16)),
    np.broadcast_to(luminance, (4, 4, 1)),
    chroma,
  )
  assert shares[30, 32] == pytest.approx(np.exp(log_prob).sum(), rel=1e-4)


def test_likely_colours_are_sorted_by_share_and_not_similar():
  found = palette.colours(bins(((60, 40), 0.6), ((-30, 30), 0.4)), 60.0)
  assert [colour.share for colour in found[:2]] == pytest.approx(
    [0.6 * 0.86, 0.4 * 0.86], rel=0.05
  )  # 0.86 of a 2D Gaussian lies within two standard deviations
  for colour, wanted in zip(found, ((60, 40), (-30, 30)), strict=False):
    lab = color.rgb_to_lab(np.array([[colour.rgb]], np.uint8))[0, 0]
    np.testing.assert_allclose(lab[1:], wanted, atol=2.5)
    assert lab[0] == pytest.approx(60, abs=1)
  (shown, *_) = palette.colours(bins(((32, 16), 1.0)), 60.0, saturation=1.5)
  np.testing.assert_allclose(lab_of([shown.pin_rgb])[0, 1:], (48, 24), atol=2.5)
  assert len(palette.colours(bins(((0, 0), 1.0)), 60.0)) == 1
  many = [((40 * i - 80, 0), 0.2) for i in range(5)]
  assert len(palette.colours(bins(*many), 60.0)) == 3


def lab_of(rgb) -> np.ndarray:
  """Converts sRGB 0..255 to Lab."""
  return np.asarray(color.rgb_to_lab(np.array(rgb, np.uint8)))


def hue_of(chroma) -> np.ndarray:
  """Returns the angles of [..., 2] (a, b) in degrees."""
  return np.rad2deg(np.arctan2(chroma[..., 1], chroma[..., 0]))


@pytest.mark.parametrize('luminance', [5.0, 30.0, 60.0, 95.0])
def test_vivid_colours_have_true_hues_and_the_luminance_of_the_spot(luminance):
  swatches = palette.vivid(luminance)
  shown = lab_of([swatch.rgb for swatch in swatches])
  np.testing.assert_allclose(shown[:, 0], luminance, atol=1)
  expected = 40 + 30 * np.arange(12)
  pins = lab_of([swatch.pin_rgb for swatch in swatches])
  hue_errors = (hue_of(pins[:, 1:]) - expected + 180) % 360 - 180
  assert np.abs(hue_errors).max() < 3
  # The colours are as vivid as the gamut allows: 20 % more lies outside it.
  if 20 < luminance < 90:
    more = shown * [1, 1.2, 1.2]
    assert not np.asarray(color.is_in_gamut(more.astype(np.float32))).any()
  # A pin with the stored colour gives the spot the colour that is shown.
  painted = brush.paint(
    [brush.Stroke(0, 0, tuple(pins[0, 1:]))],
    np.full((1, 1), luminance, np.float32),
  ).chroma[0, 0]
  np.testing.assert_allclose(painted, shown[0, 1:], atol=4)


def test_a_pin_stores_chroma_that_a_dark_spot_cannot_show():
  dark, *_ = palette.colours(bins(((60, 40), 1.0)), 5.0)
  np.testing.assert_allclose(lab_of(dark.pin_rgb)[1:], (60, 40), atol=2.5)
  assert lab_of(dark.rgb)[0] == pytest.approx(5, abs=1)


@pytest.mark.parametrize('chroma', [(20, -30), (0, 0), (-35, 12)])
def test_swatch_of_version_has_the_colour_of_the_version(chroma):
  swatch = palette.swatch_of_version(np.array(chroma), 60.0)
  assert swatch.rgb == swatch.pin_rgb
  np.testing.assert_allclose(lab_of(swatch.pin_rgb), (60, *chroma), atol=1)
