"""Adjustments: white balance (against scikit-image), strength and windows."""

import dataclasses

import numpy as np
import pytest
from skimage import color as skimage_color

from pic_jax.photos import adjustments, colorize, network_size, options
from pic_jax.runtime import errors
from tests import tiny


def test_white_balance_scales_x_and_z_only():
  lab = np.random.default_rng(0).uniform(
    [30, -20, -20], [90, 20, 20], (5, 7, 3)
  )
  wanted = adjustments.Adjustments(warmth=60, tint=-35)
  before = skimage_color.lab2xyz(lab)
  after = skimage_color.lab2xyz(wanted.balance(lab.astype(np.float32)))
  ratio = after / before
  x = (1 + (60 * 0.01 - 35 * 0.03) / 100) ** 3
  z = (1 - 60 * 0.1 / 100) ** 3
  np.testing.assert_allclose(
    ratio, np.broadcast_to([x, 1, z], ratio.shape), 1e-4
  )


def test_warmth_adds_yellow_and_tint_adds_magenta():
  white = np.array([[100, 0, 0]], np.float32)
  warm = adjustments.Adjustments(warmth=100).balance(white)
  magenta = adjustments.Adjustments(tint=100).balance(white)
  np.testing.assert_allclose(warm, [[100, 5, 20]], atol=1e-3)
  np.testing.assert_allclose(magenta, [[100, 15, 0]], atol=1e-3)


def test_strength_scales_chroma_and_defaults_change_nothing():
  lab = np.array([[50, 20, -30]], np.float32)
  assert adjustments.Adjustments(saturation=3).balance(lab) is lab
  warm = adjustments.Adjustments(warmth=50)
  half = dataclasses.replace(warm, strength=0.5)
  np.testing.assert_allclose(
    half.balance(lab)[..., 1:], warm.balance(lab)[..., 1:] / 2
  )


def test_rendering_a_window_equals_cropping_the_whole_photograph():
  colorizer = colorize.Colorizer(*tiny.untrained_model())
  whole = colorizer.to_network_size(tiny.images(1, 37, 53)[0])
  chroma = np.random.default_rng(1).normal(0, 20, (*whole.map_shape, 2))
  wanted = adjustments.Adjustments(1.3, 20, -10, 0.9)
  expected, _ = colorizer.render(whole, chroma, wanted)
  rows, columns = slice(5, 18), slice(11, 42)
  part = dataclasses.replace(whole, luminance=whole.luminance[rows, columns])
  actual, _ = colorizer.render(
    part, chroma, wanted, window=network_size.Window(5, 11, 37, 53)
  )
  np.testing.assert_array_equal(actual, expected[rows, columns])


def test_settings_give_adjustments_and_refuse_values_out_of_range():
  settings = options.Settings(saturation=1.5, warmth=-20, strength=0.5)
  assert settings.adjustments == adjustments.Adjustments(1.5, -20, 0, 0.5)
  with pytest.raises(
    errors.UserError, match='`warmth` must be from -100 to 100'
  ):
    options.Settings(warmth=101)
  with pytest.raises(errors.UserError, match='`strength` must be from 0 to 1'):
    options.Settings(strength=1.5)


def test_a_call_applies_its_adjustments():
  colorizer = colorize.Colorizer(*tiny.untrained_model())
  rgb = tiny.images(1, 20, 26)[0]
  grey = colorizer(rgb, num_samples=1, strength=0)
  assert np.ptp(grey.astype(int), -1).max() <= 1
  warm, plain = (
    colorizer(rgb, num_samples=1, warmth=warmth).astype(int)
    for warmth in (100, 0)
  )
  assert (warm[..., 2] - plain[..., 2]).mean() < -5
