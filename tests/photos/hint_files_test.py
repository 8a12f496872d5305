"""Hints from points, text files and pictures, and their effect on samples."""

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
# Even luminance at which both colours are in the gamut.
EVEN = np.full((4, 8), 40.0, np.float32)


@pytest.fixture(scope='module')
def colorizer():
  return colorize.Colorizer(*tiny.hinted_model())


def chroma_of(rgb) -> np.ndarray:
  """Rounded (a, b) in network units, as hints have them."""
  lab = color.rgb_to_lab(np.array([[rgb]], np.uint8))[..., 1:]
  return np.asarray(color.chroma_to_network(color.round_chroma(lab)))[0, 0]


def test_a_point_of_size_s_sets_only_its_own_cell():
  known = hint_files.from_points(
    [(0, 0, RED, 'S'), (31.9, 19.9, BLUE, 'S'), (16, 9.9, RED, 'S')],
    (20, 32),
    EVEN,
  )
  assert known.cells.shape == (4, 8, 3) and known.cells[..., 2].sum() == 3
  for row, col, rgb in ((0, 0, RED), (3, 7, BLUE), (1, 4, RED)):
    np.testing.assert_array_equal(known.cells[row, col], [*chroma_of(rgb), 1])
  assert known.notes == ('3 of 32 cells are known from hints',)


def test_the_size_of_a_point_sets_the_size_of_its_brush():
  even = np.full((16, 64), 50.0, np.float32)
  masks = [
    hint_files.from_points([(16, 9, RED, size)], (20, 80), even).cells[..., 2]
    for size in ('', 'S', 'M', 'L')
  ]
  assert [mask.sum() for mask in masks] == [354, 1, 354, 434]
  np.testing.assert_array_equal(masks[0], masks[2])


def test_of_points_in_one_cell_the_last_one_sets_the_order():
  points = [(3, 4, RED), (30, 10, RED), (2, 3, BLUE)]
  strokes, _ = hint_files.strokes_of(points, (20, 32), (4, 8))
  positions = [(stroke.row, stroke.column) for stroke in strokes]
  assert positions == [(2, 7), (0, 0)]


def test_two_colours_in_one_cell_are_reported_and_the_later_one_counts():
  points = [(3, 4, RED), (2, 3, BLUE), (30, 10, RED, 'S'), (30.5, 10, RED)]
  known = hint_files.from_points(points, (20, 32), EVEN)
  np.testing.assert_array_equal(known.cells[0, 0, :2], chroma_of(BLUE))
  assert known.notes[1:] == (
    '#c81e28 at (3, 4) and #1e28c8 at (2, 3) lie in one cell of 4 x 5 pixels: '
    'the later one counts',
  )


def test_a_picture_gives_the_cells_with_at_least_one_opaque_pixel():
  rgb = np.zeros((20, 32, 3), np.uint8)
  alpha = np.zeros((20, 32), np.uint8)
  rgb[2, 1:3], alpha[2, 1:3] = RED, 128  # two pixels of cell (0, 0)
  alpha[5:10, 0:4] = 127  # all of cell (1, 0), but too transparent
  rgb[7, 30], alpha[7, 30] = RED, 255  # in cell (1, 7)
  rgb[8, 31], alpha[8, 31] = BLUE, 129
  rgb[9, 31], alpha[9, 31] = (0, 255, 0), 127
  known = hint_files.from_picture(rgb, alpha, (4, 8))
  assert np.argwhere(known.cells[..., 2]).tolist() == [[0, 0], [1, 7]]
  assert known.notes == ('2 of 32 cells are known from hints',)
  np.testing.assert_array_equal(known.cells[0, 0], [*chroma_of(RED), 1])
  lab = np.asarray(color.rgb_to_lab(np.array([RED, BLUE], np.uint8)))
  mean = (255 * lab[0, 1:] + 129 * lab[1, 1:]) / (255 + 129)
  found = np.asarray(color.chroma_from_network(known.cells[1, 7, :2]))
  np.testing.assert_allclose(found, mean.round(), atol=1e-4)


def test_files_give_the_same_hints_as_points(tmp_path):
  points = [(3, 4, RED, 'S'), (30, 10.5, BLUE, 'S')]
  expected = hint_files.from_points(points, (20, 32), EVEN)
  for name in ('hints.csv', 'hints.TXT'):
    path = tmp_path / name
    path.write_text('3, 4, #c81e28,S,roof\n\n30,10.5,30,40,200,S\n')
    known = hint_files.read(path, (20, 32), EVEN)
    np.testing.assert_array_equal(known.cells, expected.cells)
    assert known.notes[0] == expected.notes[0]
    assert "line 1: 'roof'" in known.notes[1]
  picture = np.zeros((20, 32, 4), np.uint8)
  picture[0:5, 0:4] = (*RED, 255)
  picture[10:15, 28:32] = (*BLUE, 255)
  Image.fromarray(picture).save(tmp_path / 'hints.png')
  known = hint_files.read(tmp_path / 'hints.png', (20, 32), EVEN)
  np.testing.assert_array_equal(known.cells, expected.cells)


@pytest.mark.parametrize(
  'name,content,text',
  # The content is text, the size of a picture, or None for a missing file.
  [
    ('a.csv', '1,2\n', 'a.csv, line 1'),
    ('a.csv', '1,2,3,4,5\n40,2,#123456\n', r'a.csv: .*\(40, 2\) lies outside'),
    ('a.csv', '# 1,2,#123456\n', 'gives no hints'),
    ('a.png', (32, 20), 'gives no hints: .* alpha of at least 128'),
    ('a.png', (32, 21), 'as large as the .*photograph, 32 x 20.*got 32 x 21'),
    ('a.png', (20, 32), 'upright photograph, 32 x 20.*got 20 x 32.$'),
    ('a.bmp', (32, 20), 'got 32 x 20, opaque everywhere'),
    ('b.csv', None, 'No such file'),
  ],
)
def test_errors_describe_the_mistake_in_a_hint_file(
  tmp_path, name, content, text
):
  path = tmp_path / name
  if isinstance(content, str):
    path.write_text(content)
  elif content:
    picture = Image.new('RGBA', content, (200, 30, 40, 127))
    (picture if name.endswith('png') else picture.convert('RGB')).save(path)
  with pytest.raises(errors.UserError, match=text):
    hint_files.read(path, (20, 32), EVEN)


def test_a_hint_sets_its_cell_and_changes_cells_before_it(colorizer):
  rgb = tiny.images(1, 20, 24)[0][..., :1]
  plain = colorizer.to_network_size(rgb)
  known = colorizer.add_hints(plain, [(13, 11, RED)])
  settings = options.Settings(num_samples=3)
  before, after = (
    colorizer.draw([network_input], settings)[0]
    for network_input in (plain, known)
  )
  row, col = hint_files.cell_at((13, 11), (20, 24), known.map_shape)
  expected = color.chroma_from_network(known.hints[row, col, :2])
  expected = np.asarray(expected)
  assert expected[0] > 5  # red, within the gamut at this luminance
  np.testing.assert_allclose(
    after.chroma[:, row, col], expected[None].repeat(3, 0), atol=1e-3
  )
  changed = (after.chroma != before.chroma).any((0, -1))
  assert changed.reshape(-1)[: row * changed.shape[1] + col].any()
  assert np.isfinite(after.bits_per_dim).all()


def test_every_kind_of_hints_is_read_from_python_and_reported(
  colorizer, tmp_path, capsys
):
  rgb = tiny.images(1, 20, 24)[0]
  path = tmp_path / 'pins.csv'
  path.write_text('13,11,#c81e28\n')
  row = (13, 11, RED)
  kinds = (
    [row],
    (row for _ in range(1)),
    np.array([(13, 11, '#c81e28')], object),
    path,
    str(path),
  )
  plain = colorizer(rgb, num_samples=1)
  np.testing.assert_array_equal(colorizer(rgb, num_samples=1, hints=[]), plain)
  assert 'known' not in capsys.readouterr().err
  pictures = [colorizer(rgb, num_samples=1, hints=kind) for kind in kinds]
  for picture in pictures:
    np.testing.assert_array_equal(picture, pictures[0])
  assert (pictures[0] != plain).any()
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == len(kinds)
  assert all('cells are known from hints.' in line for line in lines)


def test_a_model_that_does_not_use_hints_says_so():
  colorizer = colorize.Colorizer(*tiny.untrained_model())
  with pytest.raises(errors.UserError, match='reads no hints'):
    colorizer(tiny.images(1, 8, 8)[0], hints=[(1, 1, RED)])


def test_a_rerun_compares_the_hints_with_the_journal(colorizer, tmp_path):
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
  report = json.loads((job.output / 'report.json').read_text())
  (note,) = report['files'][0]['notes']
  assert 'cells are known from hints' in note
  path.write_text('3,4,#281ec8\n')
  assert status(job) == 'failed'  # the outputs have other hints
  without = dataclasses.replace(job, hints=None, output=tmp_path / 'other')
  assert status(without) == 'done'
  report = json.loads((tmp_path / 'other' / 'report.json').read_text())
  assert 'hints' not in report['settings']
  image_files.save_image(tmp_path / 'two.png', tiny.images(1, 12, 16)[0])
  two = dataclasses.replace(job, inputs=(*job.inputs, tmp_path / 'two.png'))
  with pytest.raises(errors.UserError, match='one photograph, got 2'):
    folder_job.find(two)
