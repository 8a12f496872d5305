"""Guided upsampling of chroma: identities, edges, photographs, strips."""

import pathlib

import numpy as np
import pytest

from pic_jax.images import color, image_files, to_srgb
from pic_jax.photos import guided_upsampling

PHOTOS = pathlib.Path(__file__).parents[2] / 'photos'


def area_matrix(full: int, small: int) -> np.ndarray:
  """Weights [small, full] of means over cells, whose size may be fractional."""
  edges = np.arange(small + 1) * full / small
  pixel = np.arange(full)[None]
  stop = np.minimum(edges[1:, None], pixel + 1)
  start = np.maximum(edges[:-1, None], pixel)
  return np.maximum(stop - start, 0) * small / full


def shrink(x: np.ndarray, height: int, width: int) -> np.ndarray:
  """Averages [H, W, C] over cells to [height, width, C] float64."""
  rows, columns = (
    area_matrix(full, small)
    for full, small in zip(x.shape[:2], (height, width), strict=True)
  )
  return np.einsum('hH,wW,HWc->hwc', rows, columns, x, optimize=True)


def subsample(
  x: np.ndarray, height: int, width: int, factor: int, chroma_filter: str
) -> np.ndarray:
  """Scales [H, W, C], then subsamples it to [height, width, C] float32."""
  scaled = shrink(x, height * factor, width * factor)
  small = color.subsample(scaled[None], factor, chroma_filter)[0]
  return np.asarray(small, np.float32)


def random_maps(
  height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Random chroma and luminance on a 5 x 7 grid, and luminance at full size."""
  rng = np.random.default_rng(0)
  chroma = rng.normal(0, 40, (5, 7, 2)).astype(np.float32)
  small = rng.uniform(0, 100, (5, 7, 1)).astype(np.float32)
  full = rng.uniform(0, 100, (height, width, 1)).astype(np.float32)
  return chroma, small, full


METHODS = ('guided', 'bilinear')


def upsample(
  chroma, luminance_small, luminance, factor, chroma_filter, method='guided'
) -> np.ndarray:
  """Upsamples all rows at once; 'bilinear' ignores the luminance."""
  height, width, _ = luminance.shape
  maps = guided_upsampling.prepare(
    chroma, luminance_small, width, factor=factor, chroma_filter=chroma_filter
  )
  if method == 'bilinear':
    maps = maps._replace(slope=np.zeros_like(maps.slope))
  return guided_upsampling.upsample_rows(maps, luminance, 0, height=height)


def mean_error(chroma: np.ndarray, truth: np.ndarray) -> float:
  """Mean distance in the (a, b) plane."""
  return np.sqrt(((chroma - truth) ** 2).sum(-1)).mean()


@pytest.mark.parametrize('method', METHODS)
def test_constant_chroma_stays_constant(method):
  _, small, full = random_maps(37, 58)
  chroma = np.broadcast_to(np.float32([-20.3, 41.7]), (5, 7, 2))
  up = upsample(chroma, small, full, 2, 'area', method)
  np.testing.assert_array_equal(up, np.broadcast_to(chroma[:1, :1], up.shape))


@pytest.mark.parametrize('factor', [2, 4])
@pytest.mark.parametrize('chroma_filter', color.CHROMA_FILTERS)
def test_bilinear_at_the_networks_size_equals_color_upsample(
  factor, chroma_filter
):
  chroma, small, full = random_maps(5 * factor, 7 * factor)
  np.testing.assert_allclose(
    upsample(chroma, small, full, factor, chroma_filter, 'bilinear'),
    color.upsample(chroma[None], factor, chroma_filter)[0],
    atol=1e-4,
  )


def test_guided_equals_bilinear_at_flat_luminance():
  chroma, small, full = random_maps(37, 58)
  for value in (0.0, 50.0, 100.0):
    flat = np.full_like(small, value), np.full_like(full, value)
    np.testing.assert_allclose(
      upsample(chroma, *flat, 2, 'area', 'guided'),
      upsample(chroma, *flat, 2, 'area', 'bilinear'),
      atol=1e-4,
    )


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('factor', [2, 4])
@pytest.mark.parametrize('chroma_filter', color.CHROMA_FILTERS)
def test_a_ramp_is_not_shifted_at_any_ratio_of_sizes(
  method, factor, chroma_filter
):
  """Upsampling restores a linear ramp, except near the repeated edges.

  `shrink` gives both parts of a pixel on the border of two cells the value of
  its centre. So the means of a ramp over cells are off by a few hundredths of a
  pixel.
  """
  height, width = 83, 101
  ramp = np.stack(
    np.meshgrid(np.arange(height), np.arange(width), indexing='ij'), -1
  ).astype(np.float32)
  luminance = (ramp[..., :1] + ramp[..., 1:]) / 2
  up = upsample(
    subsample(ramp, 5, 7, factor, chroma_filter),
    subsample(luminance, 5, 7, factor, chroma_filter),
    luminance,
    factor,
    chroma_filter,
    method,
  )
  inside = slice(18, -18)
  np.testing.assert_allclose(
    up[inside, inside], ramp[inside, inside], atol=1 / 40
  )


def test_an_edge_within_cells_is_sharper_with_guided_than_bilinear():
  height, width = 83, 101
  row, col = np.mgrid[:height, :width]
  side = (3 * col + row > 190)[..., None]
  truth = np.where(side, np.float32([40, -30]), np.float32([-10, 20]))
  luminance = np.where(side, np.float32(80), np.float32(25))
  chroma, small = shrink(truth, 5, 7), shrink(luminance, 5, 7)
  error = {
    method: mean_error(
      upsample(
        chroma.astype(np.float32),
        small.astype(np.float32),
        luminance,
        2,
        'area',
        method,
      ),
      truth,
    )
    for method in METHODS
  }
  assert error['guided'] < 0.3 * error['bilinear']


@pytest.mark.parametrize('size', [16, 32])
@pytest.mark.parametrize(
  'path', sorted(PHOTOS.glob('*.[pj]*g')), ids=lambda path: path.stem
)
def test_guided_is_closer_than_bilinear_to_colours_of_photographs(path, size):
  """Guided upsampling must not amplify noise, such as that of samples."""
  lab = np.asarray(color.rgb_to_lab(image_files.load_image(path)))
  ratio = size / min(lab.shape[:2])
  height, width = (round(side * ratio) for side in lab.shape[:2])
  small = shrink(lab, height, width).astype(np.float32)
  noise = np.random.default_rng(0).normal(0, 5, (height, width, 2))
  for chroma in (small[..., 1:], small[..., 1:] + noise.astype(np.float32)):
    guided_error, bilinear_error = (
      mean_error(
        upsample(chroma, small[..., :1], lab[..., :1], 2, 'area', method),
        lab[..., 1:],
      )
      for method in METHODS
    )
    assert guided_error < bilinear_error


def test_upsampling_in_strips_equals_upsampling_at_once(monkeypatch):
  height, width = 131, 89
  chroma, small, full = random_maps(height, width)
  maps = guided_upsampling.prepare(
    chroma, small, width, factor=4, chroma_filter='point'
  )
  whole = guided_upsampling.upsample_rows(maps, full, 0, height=height)
  for num_rows in (1, 32, 130, 131, 500):
    monkeypatch.setattr(to_srgb, 'STRIP_PIXELS', num_rows * width)
    joined = np.full_like(whole, np.nan)
    for rows in to_srgb.strips(height, width):
      joined[rows] = guided_upsampling.upsample_rows(
        maps, full[rows], rows.start, height=height
      )
    np.testing.assert_array_equal(joined, whole)


def test_chroma_stays_finite_and_within_the_range_of_the_map():
  """Covers maps of one cell, flat luminance and steep slopes."""
  rng = np.random.default_rng(0)
  for shape in ((1, 1), (1, 7), (5, 1), (5, 7)):
    for deviation in (0.0, 1e-3, 5.0):
      chroma = rng.uniform(-127, 127, (*shape, 2)).astype(np.float32)
      small = 50 + deviation * chroma[..., :1] / 127
      full = 100 * rng.integers(0, 2, (43, 29, 1)).astype(np.float32)
      up = upsample(chroma, small, full, 2, 'area')
      assert np.isfinite(up).all()
      low, high = chroma.min((0, 1)), chroma.max((0, 1))
      assert (up >= low - 1e-3).all() and (up <= high + 1e-3).all()


def test_chroma_far_away_does_not_widen_the_range():
  chroma = np.zeros((5, 7, 2), np.float32)
  chroma[:, 3:], chroma[:, 6] = 10.0, 100.0
  small = 50 + chroma[..., :1] / 4
  full = 100 * np.random.default_rng(0).integers(0, 2, (50, 70, 1))
  up = upsample(chroma, small, full.astype(np.float32), 2, 'area')
  assert up[:, :40].max() <= 10 + 1e-4
  assert up[:, :40].max() > 9.9


def test_an_unknown_filter_is_refused():
  chroma, small, full = random_maps(37, 58)
  with pytest.raises(ValueError, match="`chroma_filter`.*got 'mean'"):
    upsample(chroma, small, full, 2, 'mean')
