"""Cells that a brush reaches, their chroma and their weights."""

import heapq
import itertools
import math

import numpy as np
import pytest

from pic_jax.images import color
from pic_jax.photos import brush

RED = (60.0, 40.0)


def reached_cells(stroke, luminance) -> np.ndarray:
  """Returns the mask [h, w] of the cells that one stroke reaches."""
  return brush.paint([stroke], luminance).is_reached


def test_distances_are_those_of_the_cheapest_paths():
  luminance = np.random.default_rng(0).uniform(0, 100, (5, 7))
  # Dijkstra's algorithm.
  expected = np.full((5, 7), np.inf)
  waiting = [(0.0, 3, 2)]
  while waiting:
    distance, row, column = heapq.heappop(waiting)
    if distance >= expected[row, column]:
      continue
    expected[row, column] = distance
    for down, right in itertools.product((-1, 0, 1), repeat=2):
      there = row + down, column + right
      if (down or right) and 0 <= there[0] < 5 and 0 <= there[1] < 7:
        change = abs(luminance[there] - luminance[row, column])
        cost = change + brush.LENGTH_COST * math.hypot(down, right) / 5
        heapq.heappush(waiting, (distance + cost, *there))
  found = brush.distances(brush.Stroke(3, 2, RED), luminance)
  np.testing.assert_allclose(found, expected, rtol=1e-6)  # luminance is float32


def test_the_distance_of_a_cell_is_the_median_of_its_pixels():
  luminance = np.random.default_rng(1).uniform(0, 100, (10, 14))
  stroke = brush.Stroke(7, 4, RED)
  fine = brush.distances(stroke, luminance)
  found = brush.distances(stroke, luminance, 2)
  assert found.shape == (5, 7) and found[3, 2] == 0
  pixels = fine[0:2, 12:14]  # of the cell (0, 6)
  np.testing.assert_allclose(found[0, 6], np.median(pixels), rtol=1e-12)


@pytest.mark.parametrize(
  'short,size,num_cells',
  [
    (16, 'S', 0),
    (16, 'M', 12),  # 16 * 48 / 60, rounded down
    (16, 'L', 16),
    (64, 'S', 1 + 3),  # one more, because of the disc of `SPOT`
    (64, 'M', 1 + 51),
    (64, 'L', 1 + 65),
  ],
)
def test_a_brush_reaches_a_fraction_of_the_short_side(short, size, num_cells):
  even = np.full((short, 4 * short), 50.0, np.float32)
  stroke = brush.Stroke(short // 2, 2 * short, RED, size)
  found = reached_cells(stroke, even)
  row = np.flatnonzero(found[short // 2])
  expected = 2 * short - num_cells, 2 * short + num_cells
  assert (row.min(), row.max()) == expected


def test_a_stroke_without_a_size_has_the_default_size():
  even = np.full((16, 24), 50.0, np.float32)
  stroke = brush.Stroke(5, 7, RED)
  np.testing.assert_array_equal(
    reached_cells(stroke, even),
    reached_cells(stroke._replace(size=brush.DEFAULT_SIZE), even),
  )


def test_crossing_an_edge_costs_as_much_as_a_long_path():
  luminance = np.full((20, 40), 50.0, np.float32)
  # The third cell to the right lies behind an edge of 49 units. The length of
  # the path to this cell adds 9 units.
  luminance[:, 23:] = 50 + 49
  stroke = brush.Stroke(10, 20, RED, 'M')
  found = reached_cells(stroke, luminance)
  assert found[10, 9:23].all() and not found[:, 23:].any()
  luminance[:, 23:] = 50 + 33
  # The third cell is now at 9 + 33 units, and each further cell adds 3.
  assert np.flatnonzero(reached_cells(stroke, luminance)[10]).max() == 25
  # A hint always reaches its own cell.
  luminance[10, 20] = 120
  alone = reached_cells(stroke, luminance)
  assert np.argwhere(alone).tolist() == [[10, 20]]


def test_a_speck_on_a_fine_map_is_not_an_edge():
  luminance = np.full((64, 64), 50.0, np.float32)
  even = reached_cells(brush.Stroke(30, 31, RED), luminance)
  luminance[30, 31] = 100.0
  found = reached_cells(brush.Stroke(30, 31, RED), luminance)
  np.testing.assert_array_equal(found, even)


def test_texture_is_ignored_but_edges_remain():
  even = np.full((64, 128), 50.0, np.float32)
  even[:, 80:] = 90.0
  noise = np.random.default_rng(0).normal(0, 8, even.shape)
  textured = (even + noise).astype(np.float32)
  found = brush.distances(brush.Stroke(30, 40, RED), textured)[30]
  assert found[60] < 45  # 18 without the noise, and 83 without the filter
  assert found[85] > found[75] + 30


def test_the_nearest_hint_counts_or_the_last_of_equally_near_ones():
  even = np.full((16, 16), 50.0, np.float32)
  green = (-40.0, 30.0)
  strokes = [
    brush.Stroke(7, 5, RED, 'L'),
    brush.Stroke(7, 8, green, 'L'),
    brush.Stroke(2, 2, RED, 'S'),
    brush.Stroke(2, 2, green, 'S'),
  ]
  chroma, is_known, _ = brush.paint(strokes, even)
  is_red = chroma[..., 0] > 0
  assert is_known[7].all()
  assert is_red[7, :7].all() and not is_red[7, 7:].any()
  assert not is_red[2, 2] and is_known[2, 2]
  assert not chroma[~is_known].any()


def test_hints_of_one_chroma_share_their_reach_where_they_meet():
  even = np.full((32, 64), 50.0, np.float32)
  one = brush.Stroke(16, 10, RED)
  num_alone = brush.paint([one], even).is_reached.sum()
  pair = [one._replace(row=row, column=40) for row in (6, 26)]
  together = brush.paint(pair, even).is_reached
  reach = brush.REACHES['M'] / 2**0.55 / (brush.LENGTH_COST / 32)
  assert np.flatnonzero(together[6]).max() == 40 + int(reach)
  assert 0.8 * num_alone < together.sum() < 1.2 * num_alone
  green = pair[1]._replace(chroma=(-40.0, 30.0))
  apart = [
    brush.paint([stroke], even).is_reached for stroke in (pair[0], green)
  ]
  found = brush.paint([pair[0], green], even).is_reached
  np.testing.assert_array_equal(found, apart[0] | apart[1])


def test_chroma_stays_in_gamut_at_the_luminance_of_each_cell():
  luminance = np.tile(np.linspace(2, 98, 16, dtype=np.float32), (3, 1))
  strokes = [brush.Stroke(1, column, RED, 'S') for column in range(16)]
  chroma, is_known, _ = brush.paint(strokes, luminance)
  lab = np.concatenate([luminance[1, :, None], chroma[1]], -1)
  assert is_known[1].all()
  assert np.asarray(color.is_in_gamut(lab)).all()
  lengths = np.linalg.norm(lab[:, 1:], axis=-1)
  np.testing.assert_allclose(lengths[7:9], np.hypot(*RED), rtol=1e-6)
  assert lengths[0] < 20 and lengths[-1] < 20  # near black, near white
  hues = np.arctan2(lab[:, 2], lab[:, 1])
  np.testing.assert_allclose(hues, np.arctan2(RED[1], RED[0]), atol=1e-4)
  # Chroma is reduced only as far as needed: 2 % more is outside the gamut.
  more = np.concatenate([lab[:, :1], 1.02 * lab[:, 1:]], -1)[[0, 1, 14, 15]]
  assert not np.asarray(color.is_in_gamut(more)).any()


def test_without_strokes_nothing_is_painted():
  found = brush.paint([], np.full((5, 7), 50.0, np.float32))
  assert not any(x.any() for x in found)


def test_a_hint_fades_at_the_end_of_its_reach():
  even = np.full((64, 128), 50.0, np.float32)
  strokes = [brush.Stroke(32, 40, RED), brush.Stroke(5, 120, (9.0, 9.0), 'S')]
  found = brush.paint(strokes, even)
  reach = brush.REACHES['M']
  share = brush.distances(strokes[0], even)[32] / reach
  expected = np.clip((1 - share) / brush.FADE, 0, 1)[:100]
  np.testing.assert_allclose(found.weights[32, :100], expected, atol=1e-6)
  assert found.weights[32, 40] == 1 and found.weights[5, 120] == 1
  assert not found.weights[~found.is_reached].any()


def test_hints_that_meet_do_not_fade_into_each_other():
  even = np.full((32, 96), 50.0, np.float32)
  # Two hints of one chroma, so each reaches less far.
  red = [brush.Stroke(row, 30, RED) for row in (8, 24)]
  other = brush.Stroke(16, 55, (-40.0, 30.0))
  alone = brush.paint([other], even).weights
  weights = brush.paint([*red, other], even).weights
  assert (weights >= alone).all() and (weights[:, 32:70] > 0.9).all()
