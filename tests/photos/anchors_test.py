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
  assert found.mean() == pytest.approx(3 * 5 / (16 * 24))
  # At the same places of a finer map, as blocks of cells.
  blocks = found.reshape(16, short // 16, 24, short // 16)
  assert (blocks.all((1, 3)) == blocks.any((1, 3))).all()
  assert np.argwhere(blocks.all((1, 3)))[0].tolist() == [2, 2]


def test_no_anchor_is_near_a_hint_or_part_of_what_it_is_about():
  luminance = np.full((16, 24), 80.0, np.float32)
  luminance[8:11, 2] = 50.0
  luminance[12, 17] = 50.0  # as light, but not connected
  luminance[7, :] = 50.0
  stroke = brush.Stroke(10, 2, RED)
  found = anchors.cells([stroke], luminance)
  rows, columns = np.nonzero(found)
  assert np.hypot(rows - 10, columns - 2).min() > 0.25 * 16
  # Columns 2, 7, 12, 17 and 22 of row 7 have anchors where no hint is; the hint
  # reaches 6.4 cells.
  assert np.flatnonzero(found[7]).tolist() == [12, 17, 22]
  assert np.hypot(7 - 10, 7 - 2) < 0.4 * 16 < np.hypot(7 - 10, 12 - 2)
  assert found[12, 7] and found[12, 17] and found[2, 22]
  everywhere = anchors.cells([], luminance)
  assert everywhere[7, 7] and not (found & ~everywhere).any()


def test_samples_with_points_keep_their_anchors():
  colorizer = colorize.Colorizer(*tiny.hinted_model())
  rgb = tiny.images(1, 20, 24)[0][..., :1]
  plain = colorizer.to_network_size(rgb)
  hinted = colorizer.add_hints(plain, [(3, 4, (200, 30, 40), 'S')])
  mask = np.zeros(hinted.shape, bool)  # this map is too small for any
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
    (drawing,) = colorizer.draw([anchored], alone)
    np.testing.assert_array_equal(drawing.chroma[0], after.chroma[index])
    np.testing.assert_allclose(
      drawing.bits_per_dim[0], after.bits_per_dim[index], rtol=1e-6
    )


def test_a_hint_counts_where_an_anchor_would_be():
  hinted = colorize.Colorizer(*tiny.hinted_model()).to_network_size(
    tiny.images(1, 20, 24)[0]
  )
  luminance = np.full(hinted.shape, 50.0, np.float32)
  known = hint_files.from_points([(3, 4, (200, 30, 40))], (20, 24), luminance)
  mask = np.ones(hinted.shape, bool)
  hinted = dataclasses.replace(hinted, hints=known.cells, anchors=mask)
  plain = np.full((*hinted.shape, 2), 7.0)
  cells = hint_files.anchored(hinted, plain).hints
  given = known.cells[..., 2] > 0
  assert given.any() and not given.all() and (cells[..., 2] == 1).all()
  np.testing.assert_array_equal(cells[given], known.cells[given])
  values = 127.5 * cells[~given][:, :2] + [0.5, -0.5]
  np.testing.assert_allclose(values, 7.0, atol=1e-4)
