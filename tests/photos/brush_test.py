"""Cells that a hint gives, and the chroma that they have."""

import numpy as np
import pytest

from pic_jax.images import color
from pic_jax.photos import brush

RED = (60.0, 40.0)


@pytest.mark.parametrize(
  'short,size,count',
  [
    (16, 'S', 1),
    (16, 'M', 37),
    (16, 'L', 69),
    (64, 'S', 9),
    (64, 'M', 509),
    (64, 'L', 1153),
  ],
)
def test_a_size_is_a_share_of_the_short_side(short, size, count):
  even = np.full((short, 2 * short), 50.0, np.float32)
  stroke = brush.Stroke(short // 2, short, RED, size)
  found = brush.cells_of(stroke, even)
  assert found.sum() == count
  rows, columns = np.nonzero(found)
  assert (rows.mean(), columns.mean()) == (stroke.row, stroke.column)


def test_no_size_is_the_default_size():
  even = np.full((16, 24), 50.0, np.float32)
  stroke = brush.Stroke(5, 7, RED)
  np.testing.assert_array_equal(
    brush.cells_of(stroke, even),
    brush.cells_of(stroke._replace(size=brush.DEFAULT_SIZE), even),
  )


def test_a_brush_keeps_to_cells_that_are_as_light_and_connected():
  luminance = np.full((16, 16), 50.0, np.float32)
  luminance[:, 8] = 50 + brush.TOLERANCE + 1  # an edge; beyond it, light again
  luminance[6, 5] = 50 - brush.TOLERANCE + 1
  found = brush.cells_of(brush.Stroke(7, 6, RED, 'L'), luminance)
  assert found[7, 6] and found[6, 5] and found[7, 4]
  assert not found[:, 8:].any()
  # Its own cell counts, whatever lies around it.
  alone = brush.cells_of(brush.Stroke(7, 8, RED, 'S'), luminance)
  assert np.argwhere(alone).tolist() == [[7, 8]]


def test_on_a_fine_map_the_median_around_a_hint_counts():
  luminance = np.full((64, 64), 50.0, np.float32)
  luminance[30, 31] = 80.0  # a glint
  found = brush.cells_of(brush.Stroke(30, 31, RED, 'S'), luminance)
  assert found.sum() == 9


def test_the_nearest_hint_counts_and_of_equal_ones_the_last():
  even = np.full((16, 16), 50.0, np.float32)
  green = (-40.0, 30.0)
  strokes = [
    brush.Stroke(7, 5, RED, 'L'),
    brush.Stroke(7, 8, green, 'L'),
    brush.Stroke(2, 2, RED, 'S'),
    brush.Stroke(2, 2, green, 'S'),
  ]
  chroma, is_known = brush.paint(strokes, even)
  is_red = chroma[..., 0] > 0
  assert is_known[7, 3:11].all() and not is_known[12].any()
  assert is_red[7, 3:7].all() and not is_red[7, 7:11].any()
  assert not is_red[2, 2] and is_known[2, 2]
  assert not chroma[~is_known].any()


def test_chroma_stays_in_gamut_at_the_luminance_of_each_cell():
  luminance = np.tile(np.linspace(2, 98, 16, dtype=np.float32), (3, 1))
  strokes = [brush.Stroke(1, column, RED, 'S') for column in range(16)]
  chroma, is_known = brush.paint(strokes, luminance)
  row = np.concatenate([luminance[1, :, None], chroma[1]], -1)
  assert is_known[1].all()
  assert np.asarray(color.is_in_gamut(row)).all()
  lengths = np.linalg.norm(row[:, 1:], axis=-1)
  np.testing.assert_allclose(lengths[7:9], np.hypot(*RED), rtol=1e-6)
  assert lengths[0] < 20 and lengths[-1] < 20  # near black, near white
  hues = np.arctan2(row[:, 2], row[:, 1])
  np.testing.assert_allclose(hues, np.arctan2(RED[1], RED[0]), atol=1e-4)
  # As far from grey as the gamut allows: 2 % more lies outside.
  more = np.concatenate([row[:, :1], 1.02 * row[:, 1:]], -1)[[0, 1, 14, 15]]
  assert not np.asarray(color.is_in_gamut(more)).any()


def test_no_strokes_give_nothing():
  chroma, is_known = brush.paint([], np.full((5, 7), 50.0, np.float32))
  assert not chroma.any() and not is_known.any()
