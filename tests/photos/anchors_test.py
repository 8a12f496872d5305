"""Cells that hints leave alone."""

import dataclasses

import numpy as np
import pytest

from pic_jax.photos import anchors, brush, colorize, hint_files, options
from tests import tiny

RED = (60.0, 40.0)


@pytest.mark.parametrize('short', [16, 64])
def test_anchors_lie_at_the_same_places_of_any_map(short):
  luminance = np.full((short, 3 * short // 2), 50.0, np.float32)
  found = anchors.cells([], luminance)
  assert found.mean() == pytest.approx(5 * 8 / (16 * 24))
  # At the same places of a finer map, as blocks of cells.
  blocks = found.reshape(16, short // 16, 24, short // 16)
  assert (blocks.all((1, 3)) == blocks.any((1, 3))).all()
  assert np.argwhere(blocks.all((1, 3)))[0].tolist() == [1, 1]


def test_no_anchor_may_belong_to_what_a_hint_is_about():
  luminance = np.full((16, 32), 50.0, np.float32)
  luminance[:, 10:] = 120.0  # at most 39 units before this edge
  stroke = brush.Stroke(7, 3, RED)
  found = anchors.cells([stroke], luminance)
  everywhere = anchors.cells([], luminance)
  assert not found[:, :10].any()
  np.testing.assert_array_equal(found[:, 10:], everywhere[:, 10:])
  # Columns 1, 4, 7, ... of row 7; on even luminance 62 units are 16.5 cells.
  found = anchors.cells([stroke], np.full((16, 32), 50.0, np.float32))
  assert np.flatnonzero(found[7]).tolist() == [22, 25, 28, 31]


def test_samples_with_points_keep_their_anchors():
  colorizer = colorize.Colorizer(*tiny.hinted_model())
  rgb = tiny.images(1, 20, 24)[0][..., :1]
  plain = colorizer.to_network_size(rgb)
  hinted = colorizer.add_hints(plain, [(3, 4, (200, 30, 40), 'S')])
  mask = np.zeros(hinted.map_shape, bool)  # this map is too small for any
  assert hinted.anchors.shape == mask.shape
  mask[1, 4] = mask[3, 1] = True
  hinted = dataclasses.replace(hinted, anchors=mask)
  settings = options.Settings(samples=[1, 4])
  (before,) = colorizer.draw([plain], settings)
  (after,) = colorizer.draw([hinted], settings)
  kept = (after.chroma == before.chroma).all(-1)
  assert kept[:, mask].all() and not kept.all((1, 2)).any()
  given = hinted.hints[..., 2] > 0
  assert not kept[:, given].any()
  # By the page's way, the same.
  for index, number in enumerate(settings.samples):
    anchored = hint_files.anchored(hinted, before.chroma[index])
    assert anchored.anchors is None
    alone = options.Settings(samples=[number])
    (sample_set,) = colorizer.draw([anchored], alone)
    np.testing.assert_array_equal(sample_set.chroma[0], after.chroma[index])
    np.testing.assert_allclose(
      sample_set.bits_per_dim[0], after.bits_per_dim[index], rtol=1e-6
    )


def test_a_hint_counts_where_an_anchor_would_be():
  hinted = colorize.Colorizer(*tiny.hinted_model()).to_network_size(
    tiny.images(1, 20, 24)[0]
  )
  luminance = np.full(hinted.map_shape, 50.0, np.float32)
  known = hint_files.from_points([(3, 4, (200, 30, 40))], (20, 24), luminance)
  mask = np.ones(hinted.map_shape, bool)
  hinted = dataclasses.replace(hinted, hints=known.cells, anchors=mask)
  plain = np.full((*hinted.map_shape, 2), 7.0)
  cells = hint_files.anchored(hinted, plain).hints
  given = known.cells[..., 2] > 0
  assert given.any() and not given.all() and (cells[..., 2] == 1).all()
  np.testing.assert_array_equal(cells[given], known.cells[given])
  values = 127.5 * cells[~given][:, :2] + [0.5, -0.5]
  np.testing.assert_allclose(values, 7.0, atol=1e-4)
