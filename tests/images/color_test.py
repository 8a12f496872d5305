"""Colour conversion, compared with scikit-image; subsampling of chroma."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.color

from pic_jax.images import color


def rgb_lattice() -> np.ndarray:
  """Returns [18^3, 3] uint8: all combinations of the levels 0, 15, ..., 255."""
  levels = np.arange(0, 256, 15)
  grid = np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1)
  return grid.reshape(-1, 3).astype(np.uint8)


def test_rgb_to_lab_agrees_with_scikit_image():
  rgb = rgb_lattice()
  expected = skimage.color.rgb2lab(rgb.astype(np.float64) / 255)
  np.testing.assert_allclose(color.rgb_to_lab(rgb), expected, atol=1e-3)


def test_rgb_lab_rgb_round_trip_is_exact():
  rgb = rgb_lattice()
  np.testing.assert_array_equal(color.lab_to_rgb(color.rgb_to_lab(rgb)), rgb)


def test_lab_to_rgb_clips_and_rounds_like_scikit_image():
  rng = np.random.default_rng(0)
  lab = rng.uniform([0, -127, -128], [100, 128, 127], (2000, 3))
  with np.errstate(all='ignore'), pytest.warns(UserWarning, match='negative Z'):
    expected = np.round(255 * skimage.color.lab2rgb(lab))
  actual = np.asarray(color.lab_to_rgb(lab.astype(np.float32)), np.float64)
  # In float32, values halfway between two levels may be rounded either way.
  assert np.abs(actual - expected).max() <= 1
  assert (actual != expected).mean() < 1e-3


def test_gamut_holds_all_rgb_colours_and_no_others():
  lab = np.asarray(color.rgb_to_lab(rgb_lattice()))
  assert color.is_in_gamut(lab).all()
  outside = np.array([[50, 120, 120], [99, 30, 0], [0, 5, 0]], np.float32)
  assert not color.is_in_gamut(outside).any()


def test_rgb_to_lab_rejects_floats():
  with pytest.raises(ValueError, match='must be uint8, got float32'):
    color.rgb_to_lab(np.zeros((2, 3), np.float32))


def test_eight_bit_luminance_has_at_most_256_values():
  rng = np.random.default_rng(0)
  rgb = rng.integers(0, 256, (200_000, 3), dtype=np.uint8)
  luminance = color.rgb_to_lab(rgb)[:, 0]
  assert len(np.unique(luminance)) > 10_000
  grey = color.eight_bit_luminance(luminance)
  assert len(np.unique(grey)) <= 256
  assert np.abs(grey - luminance).max() <= 0.5 / 2.55 + 1e-4


def test_network_units_are_invertible_and_have_the_papers_ranges():
  low, high = color.CHROMA_MIN[None], color.CHROMA_MAX[None]
  np.testing.assert_allclose(color.chroma_to_network(low), -1)
  np.testing.assert_allclose(color.chroma_to_network(high), 1)
  chroma = jnp.array([[-127.0, 4.0], [3.25, -60.0]])
  np.testing.assert_allclose(
    color.chroma_from_network(color.chroma_to_network(chroma)),
    chroma,
    atol=1e-4,
  )
  luminance = jnp.array([0.0, 25.0, 100.0])
  network = color.luminance_to_network(luminance)
  np.testing.assert_allclose(network, [-1, -0.5, 1])
  np.testing.assert_allclose(color.luminance_from_network(network), luminance)


def test_round_chroma_gives_integers_in_range():
  chroma = jnp.array([[-300.0, 300.0], [300.0, -300.0], [1.4, -1.6]])
  np.testing.assert_array_equal(
    color.round_chroma(chroma), [[-127, 127], [128, -128], [1, -2]]
  )


def test_subsample_takes_points_or_means_of_areas():
  x = jnp.arange(6 * 9.0).reshape(1, 6, 9, 1)
  np.testing.assert_array_equal(
    color.subsample(x, 3, 'point')[0, :, :, 0], [[0, 3, 6], [27, 30, 33]]
  )
  np.testing.assert_allclose(
    color.subsample(x, 3, 'area')[0, :, :, 0], [[10, 13, 16], [37, 40, 43]]
  )
  with pytest.raises(ValueError, match='6 x 9 and 4'):
    color.subsample(x, 4, 'area')
  with pytest.raises(ValueError, match="got 'nearest'"):
    color.subsample(x, 3, 'nearest')


@pytest.mark.parametrize('factor', [2, 3, 4])
@pytest.mark.parametrize('chroma_filter', color.CHROMA_FILTERS)
def test_upsample_does_not_shift_the_picture(factor, chroma_filter):
  """A linear ramp stays the same, except at the edges, which are repeated."""
  height, width = 5 * factor, 7 * factor
  ramp = jnp.stack(
    jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing='ij'), -1
  )[None].astype(jnp.float32)
  up = color.upsample(
    color.subsample(ramp, factor, chroma_filter), factor, chroma_filter
  )
  inside = slice(factor, -factor)
  np.testing.assert_allclose(
    up[:, inside, inside], ramp[:, inside, inside], atol=1e-4
  )


def test_upsample_repeats_the_edge_and_keeps_constants():
  x = jnp.full((2, 3, 5, 2), 0.3)
  for chroma_filter in color.CHROMA_FILTERS:
    np.testing.assert_allclose(
      color.upsample(x, 4, chroma_filter), jnp.full((2, 12, 20, 2), 0.3)
    )
    ramp = jnp.tile(jnp.arange(5.0)[:, None], (1, 3, 1, 2))
    up = color.upsample(ramp, 4, chroma_filter)
    np.testing.assert_allclose(up[:, :, 0], 0.0, atol=1e-6)
    np.testing.assert_allclose(up[:, :, -1], 4.0, atol=1e-6)


def test_conversion_is_the_same_under_jit():
  rgb = rgb_lattice()
  np.testing.assert_allclose(
    jax.jit(color.rgb_to_lab)(rgb), color.rgb_to_lab(rgb), atol=1e-4
  )
