"""Invisible pixels count nowhere: command, page and Python see the same."""

import numpy as np
import pytest
from PIL import Image

from pic_jax.app import opened_photograph
from pic_jax.images import image_files
from pic_jax.photos import colorize, colorize_folder, folder_job, options
from tests import tiny

HIDDEN = {'black': 0, 'white': 255, 'colours': None}


@pytest.fixture(scope='module')
def colorizer():
  return colorize.Colorizer(*tiny.shaken_model(), digest='abc')


@pytest.fixture
def folder(tmp_path):
  """Grey ovals, equal but for what is under alpha 0; their rims are soft."""
  rng = np.random.default_rng(0)
  grey = rng.integers(40, 200, (30, 40, 1), np.uint8)
  rows, columns = np.mgrid[-1:1:30j, -1:1:40j]
  alpha = np.clip(600 * (0.8 - rows**2 - columns**2), 0, 255).astype(np.uint8)
  assert 0 < ((alpha > 0) & (alpha < 255)).sum()
  (tmp_path / 'in').mkdir()
  for name, level in HIDDEN.items():
    hidden = rng.integers(0, 256, (30, 40, 3), np.uint8)
    if level is not None:
      hidden[:] = level
    rgb = np.where(alpha[..., None] > 0, grey, hidden)
    rgba = np.append(rgb, alpha[..., None], -1).astype(np.uint8)
    Image.fromarray(rgba).save(tmp_path / 'in' / f'{name}.png')
  return tmp_path


def test_outputs_do_not_depend_on_invisible_pixels(colorizer, folder):
  job = folder_job.Job(
    inputs=(folder / 'in',),
    output=folder / 'out',
    settings=options.Settings(num_samples=1),
    file_options=options.FileOptions(skip_colour=True),
  )
  report = colorize_folder.run(job, folder_job.find(job), colorizer)
  assert {entry['status'] for entry in report['files']} == {'done'}
  outputs = {name: folder / 'out' / f'{name}.png.0.png' for name in HIDDEN}
  first = outputs['black'].read_bytes()
  assert all(path.read_bytes() == first for path in outputs.values())
  rgba = np.asarray(Image.open(outputs['black']))
  assert (rgba[..., 3] == 0).any() and np.ptp(rgba[..., :3], -1).max() > 0
  thumbnails = [
    [
      (folder / 'out' / one['thumbnail']).read_bytes()
      for one in entry['pictures']
    ]
    for entry in report['files']
  ]
  assert thumbnails[0] == thumbnails[1] == thumbnails[2]
  for one in report['files'][0]['pictures']:
    corner = Image.open(folder / 'out' / one['thumbnail']).getpixel((0, 0))
    assert np.min(corner) > 240


def test_command_page_and_python_show_the_network_the_same(colorizer, folder):
  seen = []
  for name in HIDDEN:
    path = folder / 'in' / f'{name}.png'
    photograph = image_files.load_photograph(path)
    seen += [
      colorizer.to_network_size(photograph.rgb, photograph.alpha),
      opened_photograph.read(path.read_bytes(), colorizer).network_input,
      colorizer.to_network_size(image_files.load_image(path)),
    ]
  for grey in seen:
    np.testing.assert_array_equal(grey.grey_values, seen[0].grey_values)
    assert grey.chroma is None


def test_another_transparency_is_another_photograph(colorizer, folder):
  path = folder / 'in' / 'black.png'
  job = folder_job.Job(
    inputs=(path,),
    output=folder / 'out',
    settings=options.Settings(num_samples=1),
  )
  colorize_folder.run(job, folder_job.find(job), colorizer)
  rgba = np.array(Image.open(path))
  rgba[15, 20, 3] = 200
  Image.fromarray(rgba).save(path)
  report = colorize_folder.run(job, folder_job.find(job), colorizer)
  assert 'other settings' in report['files'][0]['reason']
