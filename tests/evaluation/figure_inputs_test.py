"""Pictures of other methods (figure 8): which are used, which left out."""

import numpy as np
import pytest

from pic_jax.evaluation import figure_inputs
from pic_jax.images import image_files
from pic_jax.runtime import errors
from tests import tiny

SIZE = 32


@pytest.fixture
def config(tmp_path):
  """Writes three photographs and pictures of two methods; returns a config."""
  for name, size in (('a', (40, 60)), ('b', (60, 40)), ('c', (33, 33))):
    rgb = tiny.images(1, *size)[0]
    image_files.save_image(tmp_path / 'in' / f'{name}.png', rgb)
  for method, level in (('x', 10), ('y', 90)):
    for name in ('a.jpg', 'b.png.0.png', 'b.png.1.png', 'other.png'):
      rgb = np.full((50, 70, 3), level + name.count('0'), np.uint8)
      image_files.save_image(tmp_path / method / name, rgb)
  (tmp_path / 'x' / 'c.png').write_bytes(b'damaged')
  config = tiny.config('smoke')
  config.data.name, config.data.data_dir = 'folder', str(tmp_path / 'in')
  config.data.test_split, config.data.image_size = 'all', SIZE
  config.sampling.num_images = -1
  return config


@pytest.fixture
def folders(tmp_path):
  return [str(tmp_path / 'x'), str(tmp_path / 'y')]


def test_a_photograph_needs_a_picture_in_every_folder(config, folders, capsys):
  found = figure_inputs.pictures_of_other_methods(config, folders)
  assert list(found) == [0, 1]
  # b.png.0.png is one level brighter than b.png.1.png, which is not used.
  for pictures, extra in zip(found.values(), (0, 1), strict=True):
    assert pictures.shape == (2, SIZE, SIZE, 3)
    for picture, level in zip(pictures, (10, 90), strict=True):
      assert (abs(picture - (level + extra + 0.0)) <= 0.5).all()
  left_out = capsys.readouterr().err
  assert 'left out' in left_out and 'c.png' in left_out
  assert 'a.png' not in left_out


def test_the_number_of_rows_is_limited(config, folders):
  config.sampling.num_images = 1
  assert list(figure_inputs.pictures_of_other_methods(config, folders)) == [0]


def test_a_file_with_the_same_name_is_preferred_to_one_with_the_same_stem(
  config, folders, tmp_path
):
  rgb = np.full((9, 9, 3), 200, np.uint8)
  image_files.save_image(tmp_path / 'y' / 'a.png', rgb)
  assert (
    figure_inputs.pictures_of_other_methods(config, folders)[0][1] == 200
  ).all()


def test_the_error_if_there_is_nothing_to_compare_names_the_cause(
  config, tmp_path
):
  (tmp_path / 'z').mkdir()
  for names, text in (
    ([str(tmp_path / 'x'), str(tmp_path / 'z')], 'x,.*z'),
    ([str(tmp_path / 'x'), 'nowhere'], 'nowhere is not a folder'),
  ):
    with pytest.raises(errors.UserError, match=text) as error:
      figure_inputs.pictures_of_other_methods(config, names)
    assert '\n' not in str(error.value)
  config.data.name = 'patches'
  with pytest.raises(errors.UserError, match='data.name=folder.*patches'):
    figure_inputs.pictures_of_other_methods(config, ['x'])
  assert figure_inputs.pictures_of_other_methods(config, []) == {}
