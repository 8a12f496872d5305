"""One loader for every file that a user may have."""

import os

import numpy as np
import pytest
from PIL import Image

from pic_jax import images


def test_modes_become_rgb(tmp_path):
  rgb = np.zeros((5, 7, 3), np.uint8)
  rgb[..., 0], rgb[..., 1] = 200, np.arange(7) * 30
  picture = Image.fromarray(rgb)
  picture.save(tmp_path / 'rgb.png')
  np.testing.assert_array_equal(images.load_image(tmp_path / 'rgb.png'), rgb)
  picture.convert('L').save(tmp_path / 'grey.png')
  grey = images.load_image(tmp_path / 'grey.png')
  assert grey.shape == (5, 7, 3) and (grey == grey[..., :1]).all()
  picture.convert('CMYK').save(tmp_path / 'cmyk.tif')
  np.testing.assert_allclose(
    images.load_image(tmp_path / 'cmyk.tif'), rgb, atol=3
  )
  picture.convert('P').save(tmp_path / 'palette.png')
  assert images.load_image(tmp_path / 'palette.png').shape == (5, 7, 3)


def test_sixteen_bit_grey_keeps_its_levels(tmp_path):
  levels = np.linspace(0, 65535, 35).reshape(5, 7).astype(np.uint16)
  Image.fromarray(levels).save(tmp_path / 'deep.png')
  grey = images.load_image(tmp_path / 'deep.png')[..., 0]
  np.testing.assert_allclose(grey, levels / 257.0, atol=0.51)


def test_transparent_pixels_become_white(tmp_path):
  rgba = np.zeros((5, 7, 4), np.uint8)
  rgba[2:, :, 3] = 255
  Image.fromarray(rgba).save(tmp_path / 'alpha.png')
  rgb = images.load_image(tmp_path / 'alpha.png')
  assert (rgb[:2] == 255).all() and (rgb[2:] == 0).all()


def test_orientation_is_applied(tmp_path):
  rgb = np.zeros((4, 8, 3), np.uint8)
  rgb[:, :4] = 250
  exif = Image.Exif()
  exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees
  Image.fromarray(rgb).save(tmp_path / 'a.jpg', exif=exif, quality=95)
  upright = images.load_image(tmp_path / 'a.jpg')
  assert upright.shape == (8, 4, 3)
  assert upright[:4].mean() > 200 > 50 > upright[4:].mean()


def test_unusable_files_are_named(tmp_path):
  (tmp_path / 'text.png').write_text('no image')
  os.mkfifo(tmp_path / 'fifo.png')
  whole = np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)
  Image.fromarray(whole).save(tmp_path / 'cut.png')
  (tmp_path / 'cut.png').write_bytes((tmp_path / 'cut.png').read_bytes()[:900])
  for name in ('text.png', 'fifo.png', 'cut.png', 'missing.png', '.'):
    with pytest.raises(images.ImageError, match='.') as error:
      images.load_image(tmp_path / name)
    assert str(tmp_path) in str(error.value) and '\n' not in str(error.value)


def test_grid_places_pictures_with_gaps():
  rows = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1)
  rows = np.broadcast_to(rows, (2, 3, 4, 5, 3))
  picture = images.grid(rows, scale=2)
  assert picture.shape == (2 * 8 + 2, 3 * 10 + 4, 3)
  assert (picture[10:, 12:22] == 4).all() and (picture[8:10] == 255).all()
