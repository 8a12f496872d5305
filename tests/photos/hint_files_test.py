"""What a user knows: points, CSV, pictures; what becomes of it."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from pic_jax.images import color, image_files
from pic_jax.photos import (
  colorize,
  colorize_folder,
  folder_job,
  hint_files,
  options,
)
from pic_jax.runtime import errors
from tests import tiny

RED, BLUE = (200, 30, 40), (30, 40, 200)


@pytest.fixture(scope='module')
def colorizer():
  return colorize.Colorizer(*tiny.hinted_model())


def chroma_of(rgb) -> np.ndarray:
  """(a, b) in network units, rounded, as hints have it."""
  lab = color.rgb_to_lab(np.array([[rgb]], np.uint8))[..., 1:]
  return np.asarray(color.chroma_to_network(color.round_chroma(lab)))[0, 0]


def test_points_give_the_cell_that_they_lie_in():
  cells = hint_files.from_points(
    [(0, 0, RED), (31.9, 19.9, BLUE), (16, 9.9, RED), (17, 5.1, BLUE)],
    size=(20, 32),
    shape=(4, 8),
  )
  assert cells.shape == (4, 8, 3) and cells[..., 2].sum() == 3
  for row, col, rgb in ((0, 0, RED), (3, 7, BLUE)):
    np.testing.assert_array_equal(cells[row, col], [*chroma_of(rgb), 1])
  mean = (chroma_of(RED) + chroma_of(BLUE)) / 2  # both lie in row 1, column 4
  np.testing.assert_allclose(cells[1, 4, :2], mean, atol=0.5 / 127)
  levels = 127.5 * cells[1, 4, :2] - 0.5
  np.testing.assert_allclose(levels, levels.round(), atol=1e-4)


def test_a_picture_gives_the_cells_that_are_half_opaque():
  rgb = np.zeros((20, 32, 3), np.uint8)
  rgb[:, :16], rgb[:, 16:] = RED, BLUE
  alpha = np.zeros((20, 32), np.uint8)
  alpha[0:5, 0:2] = 255  # half of cell (0, 0), 5 x 4 pixels
  alpha[5:10, 0:2] = 255
  alpha[5, 0] = 127  # less than half of cell (1, 0)
  alpha[15:, 28:] = 128  # all of cell (3, 7)
  cells = hint_files.from_picture(rgb, alpha, (4, 8))
  assert np.argwhere(cells[..., 2]).tolist() == [[0, 0], [3, 7]]
  np.testing.assert_array_equal(cells[3, 7], [*chroma_of(BLUE), 1])


def test_files_of_hints_say_the_same_as_points(tmp_path):
  points = [(3, 4, RED), (30, 10.5, BLUE)]
  expected = hint_files.from_points(points, (20, 32), (4, 8))
  path = tmp_path / 'hints.csv'
  text = '# x, y, colour\n3, 4, #c81e28\n\n30,10.5,30,40,200\n'
  path.write_text(text, encoding='utf-8-sig')  # as Excel has it
  np.testing.assert_array_equal(
    hint_files.read(path, (20, 32), (4, 8)), expected
  )
  picture = np.zeros((20, 32, 4), np.uint8)
  picture[0:5, 0:4] = (*RED, 255)
  picture[10:15, 28:32] = (*BLUE, 255)
  Image.fromarray(picture).save(tmp_path / 'hints.png')
  np.testing.assert_array_equal(
    hint_files.read(tmp_path / 'hints.png', (20, 32), (4, 8)), expected
  )
  Image.new('RGBA', (32, 20)).save(tmp_path / 'none.png')
  assert not hint_files.read(tmp_path / 'none.png', (20, 32), (4, 8)).any()


@pytest.mark.parametrize(
  'name,content,text',
  [
    ('a.csv', '1,2\n', 'line 1'),
    ('a.csv', '1,2,#12345\n', 'line 1'),
    ('a.csv', '1,2,3,4,5\n40,2,#123456\n', 'outside the photograph'),
    ('a.csv', '1,2,3,4,256\n', '0 to 255'),
    ('a.csv', 'nan,2,3,4,5\n', 'outside the photograph'),
    ('a.png', None, 'as large as the photograph, 32 x 20'),
    ('b.csv', None, 'No such file'),
  ],
)
def test_mistakes_in_hints_are_named(tmp_path, name, content, text):
  path = tmp_path / name
  if content:
    path.write_text(content)
  elif name == 'a.png':
    Image.new('RGBA', (32, 21)).save(path)
  with pytest.raises(errors.UserError, match=text):
    hint_files.read(path, (20, 32), (4, 8))


def test_hints_colour_their_cell_and_others_change(colorizer):
  rgb = tiny.images(1, 20, 24)[0][..., :1]
  plain = colorizer.to_network_size(rgb)
  known = colorizer.add_hints(plain, [(13, 11, RED)])
  settings = options.Settings(num_samples=3)
  before, after = (
    colorizer.draw([network_input], settings)[0]
    for network_input in (plain, known)
  )
  row, col = np.argwhere(known.hints[..., 2])[0]
  expected = np.asarray(color.chroma_from_network(chroma_of(RED)[None]))[0]
  np.testing.assert_allclose(
    after.chroma[:, row, col], expected[None].repeat(3, 0), atol=1e-3
  )
  changed = (after.chroma != before.chroma).any((0, -1))
  assert changed.reshape(-1)[: row * changed.shape[1] + col].any()
  assert np.isfinite(after.bits_per_dim).all()
  pictures = [
    colorizer(rgb, num_samples=1, hints=points)
    for points in ((), [(13, 11, RED)])
  ]
  assert (pictures[0] != pictures[1]).any()


def test_a_model_that_reads_no_hints_says_so():
  colorizer = colorize.Colorizer(*tiny.shaken_model())
  with pytest.raises(errors.UserError, match='reads no hints'):
    colorizer(tiny.images(1, 8, 8)[0], hints=[(1, 1, RED)])


def test_hints_belong_to_what_the_journal_compares(colorizer, tmp_path):
  image_files.save_image(tmp_path / 'in.png', tiny.images(1, 12, 16)[0])
  path = tmp_path / 'hints.csv'
  path.write_text('3,4,#c81e28\n')
  job = folder_job.Job(
    inputs=(tmp_path / 'in.png',),
    output=tmp_path / 'out',
    settings=options.Settings(num_samples=1),
    hints=path,
  )

  def status(job):
    report = colorize_folder.run(job, folder_job.find(job), colorizer)
    return report['files'][0]['status']

  assert [status(job) for _ in range(2)] == ['done', 'skipped']
  path.write_text('3,4,#281ec8\n')
  assert status(job) == 'failed'  # it would overwrite
  without = dataclasses.replace(job, hints=None, output=tmp_path / 'other')
  assert status(without) == 'done'
  report = json.loads((tmp_path / 'other' / 'report.json').read_text())
  assert 'hints' not in report['settings']
  image_files.save_image(tmp_path / 'two.png', tiny.images(1, 12, 16)[0])
  two = dataclasses.replace(job, inputs=(*job.inputs, tmp_path / 'two.png'))
  with pytest.raises(errors.UserError, match='one photograph, got 2'):
    folder_job.find(two)
