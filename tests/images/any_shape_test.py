"""`within_gamut` moves colours outside the gamut of sRGB towards grey."""

import numpy as np
from skimage import color as skimage_color

from pic_jax.images import any_shape


def test_within_gamut_moves_colours_towards_grey_as_little_as_needed():
  rng = np.random.default_rng(0)
  lab = rng.uniform([20, -120, -120], [95, 120, 120], (7, 11, 3))
  moved = any_shape.within_gamut(lab.astype(np.float32))
  np.testing.assert_allclose(moved[..., 0], lab[..., 0], rtol=1e-6)
  scale = np.linalg.norm(moved[..., 1:], axis=-1)
  scale /= np.linalg.norm(lab[..., 1:], axis=-1)
  np.testing.assert_allclose(
    moved[..., 1:], scale[..., None] * lab[..., 1:], atol=1e-3
  )
  assert (0 < scale).all() and (scale <= 1).all()

  def is_in_gamut(values):
    xyz = skimage_color.lab2xyz(values)
    linear = xyz @ np.linalg.inv(skimage_color.colorconv.xyz_from_rgb).T
    return ((linear > -3e-4) & (linear < 1 + 3e-4)).all(-1)

  assert is_in_gamut(moved).all()
  was_moved = scale < 0.999
  assert 30 < was_moved.sum() < was_moved.size  # both cases are tested
  more_colourful = moved * [1, 1.03, 1.03]
  assert not is_in_gamut(more_colourful)[was_moved].any()
