"""Colours of invisible pixels do not matter in the command, page and Python."""

import numpy as np
import pytest
from PIL import Image

from pic_jax.app import opened_photograph
from pic_jax.images import image_files
from pic_jax.photos import colorize, colorize_folder, folder_job, options
from tests import tiny

# Grey values under alpha 0 in each photograph; None for random colours.
HIDDEN = {'black': 0, 'white': 255, 'colours': None}


@pytest.fixture(scope='module')
def colorizer():
  return colorize.Colorizer(*tiny.untrained_model(), digest='abc')


@pytest.fixture
def folder(tmp_path):
  """A folder of grey ovals with soft rims, which differ only under alpha 0."""
  rng = np.random.default_rng(0)
  grey = rng.integers(40, 200, (30, 40, 1), np.uint8)
  rows, columns = np.mgrid[-1:1:30j, -1:1:40j]
  alpha = np.clip(600 * (0.8 - rows**2 - columns**2), 0, 255).astype(np.uint8)
  assert 0 < ((alpha > 0) & (alpha < 255)).sum()
  (tmp_path / 'in').mkdir()
  for name, value in HIDDEN.items():
    hidden = rng.integers(0, 256, (30, 40, 3), np.uint8)
    if value is not None:
      hidden[:] = value
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
      (folder / 'out' / picture['thumbnail']).read_bytes()
      for picture in entry['pictures']
    ]
    for entry in report['files']
  ]
  assert thumbnails[0] == thumbnails[1] == thumbnails[2]
  for picture in report['files'][0]['pictures']:
    thumbnail = Image.open(folder / 'out' / picture['thumbnail'])
    corner = thumbnail.getpixel((0, 0))
    assert np.min(corner) > 240


def test_command_page_and_python_have_the_same_network_input(colorizer, folder):
  inputs = []
  for name in HIDDEN:
    path = folder / 'in' / f'{name}.png'
    photograph = image_files.load_photograph(path)
    inputs += [
      colorizer.to_network_size(photograph.rgb, photograph.alpha),
      opened_photograph.read(path.read_bytes(), colorizer).network_input,
      colorizer.to_network_size(image_files.load_image(path)),
    ]
  for network_input in inputs:
    np.testing.assert_array_equal(
      network_input.grey_values, inputs[0].grey_values
    )
    assert network_input.chroma is None


def test_a_photograph_with_another_alpha_is_another_photograph(
  colorizer, folder
):
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
