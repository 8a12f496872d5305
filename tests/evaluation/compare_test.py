"""Models and methods side by side: what stands where, what is left out."""

import numpy as np
import pytest
from PIL import Image

from pic_jax.images import grid, image_files, resizing
from pic_jax.photos import colorize, compare
from pic_jax.runtime import errors
from tests import tiny
from tests.evaluation import figures_test

trained = figures_test.trained


@pytest.fixture(scope='module')
def tiny_model():
  params, config = tiny.shaken_model()
  config.sampling.seed, config.sampling.num_images = 5, -1
  return params, config


@pytest.fixture
def folder(tmp_path):
  """Three originals; pictures of two methods, under several names."""
  for name, size in (('a', (40, 60)), ('b', (60, 40)), ('c', (33, 33))):
    image_files.save_image(
      tmp_path / 'in' / f'{name}.png', picture(name, *size)
    )
  for method, level in (('x', 10), ('y', 90)):
    for name in ('a.jpg', 'b.0.png', 'b.1.png', 'other.png'):
      rgb = np.full((50, 70, 3), level + name.count('0'), np.uint8)
      image_files.save_image(tmp_path / method / name, rgb)
  (tmp_path / 'x' / 'c.png').write_bytes(b'damaged')
  return tmp_path


def picture(name, height, width):
  return tiny.images(1, height, width, seed=ord(name))[0]


def cells(path):
  """[rows, columns, CELL, CELL, 3] of what `picture_grid.grid` made."""
  with Image.open(path) as image:
    rgb = np.asarray(image)
  pitch = compare.CELL + grid.GAP
  starts = [range(0, side, pitch) for side in rgb.shape[:2]]
  return np.stack(
    [
      [rgb[y : y + compare.CELL, x : x + compare.CELL] for x in starts[1]]
      for y in starts[0]
    ]
  )


def make(model, folder, *others):
  path = folder / 'figures' / 'compare.png'
  params, config = model
  config = config.copy_and_resolve_references()
  config.data.name, config.data.data_dir = 'folder', str(folder / 'in')
  names = ','.join(str(folder / name) for name in others)
  config.evaluation.compare_with = names
  compare.folders(params, config, path)
  return cells(path)


@pytest.mark.slow
def test_a_row_is_grey_ours_the_others_and_the_original(
  tiny_model, folder, capsys
):
  found = make(tiny_model, folder, 'x', 'y')
  assert found.shape == (2, 5, compare.CELL, compare.CELL, 3)
  colorizer = colorize.Colorizer(*tiny_model)
  for row, name, size in zip(found, 'ab', ((40, 60), (60, 40)), strict=True):
    original = picture(name, *size)
    ours = colorizer(original, num_samples=1, seed=5)[0]
    for cell, expected in ((row[1], ours), (row[4], original)):
      expected = resizing.fit(expected, compare.CELL, 'crop')
      np.testing.assert_array_equal(cell, expected)
    assert (row[0] == row[0][..., :1]).all() and row[0].std() > 1
    extra = 1 if name == 'b' else 0  # b.0.png, not b.1.png
    assert (abs(row[2] - (10.0 + extra)) <= 0.5).all()
    assert (abs(row[3] - (90.0 + extra)) <= 0.5).all()
  left_out = capsys.readouterr().err
  assert 'left out' in left_out and 'c.png' in left_out
  assert 'a.png' not in left_out


@pytest.mark.slow
def test_the_number_of_rows_is_limited(tiny_model, folder):
  params, config = tiny_model
  config = config.copy_and_resolve_references()
  config.sampling.num_images = 1
  assert len(make((params, config), folder, 'y')) == 1


@pytest.mark.slow
def test_a_whole_name_comes_before_a_stem(tiny_model, folder):
  image_files.save_image(
    folder / 'y' / 'a.png', np.full((9, 9, 3), 200, np.uint8)
  )
  assert (make(tiny_model, folder, 'y')[0, 2] == 200).all()


def test_nothing_to_compare_names_the_folders(tiny_model, folder):
  (folder / 'z').mkdir()
  with pytest.raises(errors.UserError, match='x,.*z') as error:
    make(tiny_model, folder, 'x', 'z')
  assert '\n' not in str(error.value)
  with pytest.raises(errors.UserError, match='nowhere: no such'):
    make(tiny_model, folder, 'nowhere')
  for path in (folder / 'in').iterdir():
    path.unlink()
  with pytest.raises(errors.UserError, match='No photographs'):
    make(tiny_model, folder, 'x')
  assert not (folder / 'figures').exists()
  with pytest.raises(errors.UserError, match='data.name=folder.*patches'):
    compare.folders(*tiny_model, folder / 'figures' / 'compare.png')


@pytest.mark.slow
def test_compared_models_see_the_same_images_and_noise(trained, tmp_path):
  params, config = trained
  path = tmp_path / 'compare.png'
  compare.models([(params, config), (params, config)], path)
  with Image.open(path) as image:
    picture = np.asarray(image)
  gap = grid.GAP
  pitch = (picture.shape[1] + gap) // 8  # grey, 2 x 3 samples, original
  first = picture[:, pitch : 4 * pitch - gap]
  np.testing.assert_array_equal(picture[:, 4 * pitch : 7 * pitch - gap], first)
  assert (picture[:, : 3 * pitch - gap] != first).any()


@pytest.mark.parametrize(
  'name,value,text',
  [
    ('num_components', 3, 'model.num_components.*got 2 and 3'),
    ('chroma_factor', 4, 'factor, got 2 and 4'),
  ],
)
def test_models_whose_noise_differs_are_refused(name, value, text, tmp_path):
  config = tiny.narrow_config('smoke', tmp_path)
  other = tiny.narrow_config('smoke', tmp_path)
  other.model[name] = value
  if name == 'num_components':
    other.model.embedding_features = 24
  with pytest.raises(errors.UserError, match=text):
    compare.check_alike(config, other)
