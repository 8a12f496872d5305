"""Simulated old film: the share of pictures on film, and each effect alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.images import color, film
from tests import tiny


@pytest.mark.slow
def test_exactly_a_share_of_the_pictures_is_rendered_on_film():
  rgb = jnp.asarray(tiny.images(8, 24, 40))
  clean = color.rgb_to_lab(rgb)[..., :1]
  filmed = film.through_film(jax.random.key(0), rgb, clean, share=0.375)
  changed = np.asarray((filmed != clean).any((1, 2, 3)))
  assert changed.sum() == 3
  again = film.through_film(jax.random.key(0), rgb, clean, share=0.375)
  np.testing.assert_array_equal(filmed, again)
  other = film.through_film(jax.random.key(1), rgb, clean, share=0.375)
  assert (np.asarray((other != clean).any((1, 2, 3))) != changed).any()
  assert film.through_film(jax.random.key(0), rgb, clean, share=0.0) is clean
  assert float(filmed.min()) >= 0 and float(filmed.max()) <= 100


def test_blue_sensitive_film_renders_blue_bright_and_red_dark():
  red, blue = (200, 20, 20), (20, 20, 200)
  rgb = jnp.asarray([[[red, blue]]], jnp.uint8)
  luminance = {
    name: np.asarray(film.fixed_film(name, rgb, jax.random.key(0)))[0, 0, :, 0]
    for name in ('clean', 'orthochromatic', 'blue_sensitive')
  }
  assert luminance['clean'][0] > luminance['clean'][1]
  assert luminance['orthochromatic'][0] < luminance['orthochromatic'][1]
  assert (
    luminance['blue_sensitive'][0] < 15 and luminance['blue_sensitive'][1] > 70
  )
  expected = color.rgb_to_lab(rgb)[0, 0, :, 0]
  np.testing.assert_allclose(luminance['clean'], expected, atol=1e-5)


def test_lightness_of_panchromatic_intensity_is_the_l_of_lab():
  rgb = jnp.asarray(tiny.images(2, 8, 8))
  weights = jnp.array(film.PANCHROMATIC).reshape(1, 1, 1, 3)
  found = film.lightness((film.linear_rgb(rgb) * weights).sum(-1))
  np.testing.assert_allclose(found, color.rgb_to_lab(rgb)[..., 0], atol=1e-3)


def test_blur_keeps_the_sum_and_has_the_requested_variance():
  point = np.zeros((2, 31, 33), np.float32)
  point[:, 15, 16] = 1.0
  sigma = jnp.array([0.7, 1.6]).reshape(2, 1, 1)
  found = np.asarray(film.blur(jnp.asarray(point), sigma))
  np.testing.assert_allclose(found.sum((1, 2)), 1.0, rtol=1e-5)
  offsets = np.arange(31) - 15
  variance = (found.sum(2) * offsets**2).sum(1)
  np.testing.assert_allclose(variance, [0.49, 2.56], rtol=0.03)
  # Rows and columns are blurred alike.
  np.testing.assert_allclose(found.sum(1)[:, 16 - 3], found.sum(2)[:, 15 - 3])


def test_jpeg_blocks_quantise_by_the_table():
  rng = np.random.default_rng(0)
  luminance = rng.uniform(0, 100, (1, 13, 20)).astype(np.float32)
  fine = film.jpeg_blocks(jnp.asarray(luminance), jnp.zeros((1, 1, 1)))
  np.testing.assert_allclose(fine, luminance, atol=0.05)
  flat = film.jpeg_blocks(jnp.full((1, 8, 8), 61.0), jnp.full((1, 1, 1), 2.0))
  # Only the first coefficient, 8 (2.55 L - 128), is not 0. Its step is twice
  # the first entry of the table, 16, plus 0.01.
  coefficient = np.round(8 * (2.55 * 61 - 128) / 32.01) * 32.01
  expected = (coefficient / 8 + 128) / 2.55
  np.testing.assert_allclose(flat, np.full((1, 8, 8), expected), atol=1e-3)


@pytest.mark.parametrize('name', film.FIXED)
def test_a_fixed_film_looks_the_same_at_any_size(name):
  small = tiny.images(1, 128, 128)
  large = small.repeat(2, 1).repeat(2, 2)
  key = jax.random.key(3)
  at_small = film.fixed_film(name, jnp.asarray(small), key)
  at_large = film.fixed_film(name, jnp.asarray(large), key)
  assert at_large.shape == (1, 256, 256, 1)
  halved = color.subsample(at_large, 2, 'area')
  # Cubic interpolation keeps the means of 2 x 2 pixels, except at sharp edges.
  assert float(jnp.abs(halved - at_small).mean()) < 1.5


def test_fixed_films_need_sides_that_are_multiples_of_the_factor():
  key = jax.random.key(3)
  rgb = jnp.zeros((1, 384, 513, 3), jnp.uint8)
  assert film.fixed_film('faded', rgb, key).shape == (1, 384, 513, 1)
  with pytest.raises(ValueError, match='multiples of 3, got 384 x 512'):
    film.fixed_film('faded', rgb[:, :, :512], key)
