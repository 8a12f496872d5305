"""Cells that keep their chroma when hints are added, and anchors."""

import dataclasses

import numpy as np
import pytest

from pic_jax.images import color
from pic_jax.photos import anchors, brush, colorize, hint_files, options
from tests import tiny

RED = (60.0, 40.0)


def test_cells_far_from_every_hint_keep_their_chroma():
  luminance = np.full((16, 32), 50.0, np.float32)
  assert anchors.cells([], luminance).all()
  stroke = brush.Stroke(7, 3, RED)
  # On even luminance 48 + 4 units are 13.9 cells.
  found = anchors.cells([stroke], luminance)
  assert np.flatnonzero(found[7]).tolist() == list(range(17, 32))
  # Cells before this edge are at most 39 units away, those behind it over 52.
  luminance[:, 10:] = 120.0
  found = anchors.cells([stroke], luminance)
  assert not found[:, :10].any() and found[:, 10:].all()
  # Two hints of one colour share their reach: 48 / 2 ** 0.55 + 4 units are 9.8
  # cells.
  luminance[:] = 50.0
  found = anchors.cells([stroke, brush.Stroke(7, 5, RED)], luminance)
  assert np.flatnonzero(found[7]).tolist() == list(range(15, 32))


def test_kept_cells_and_anchors_are_whole_squares():
  luminance = np.full((64, 96), 50.0, np.float32)
  is_kept = anchors.cells([brush.Stroke(33, 22, RED, 'S')], luminance)
  is_anchor = anchors.whole_squares(is_kept)
  num_others = []
  for found, side in ((is_kept, 2), (is_anchor, 4)):
    squares = found.reshape(64 // side, side, 96 // side, side)
    assert (squares.all((1, 3)) == squares.any((1, 3))).all()
    num_others.append((~found).sum())
  assert 0 < num_others[0] < num_others[1] < 960
  assert not (is_anchor & ~is_kept).any()


@pytest.mark.slow
def test_samples_with_hints_keep_the_chroma_of_kept_cells():
  colorizer = colorize.Colorizer(*tiny.hinted_model())
  rgb = tiny.images(1, 20, 24)[0][..., :1]
  plain = colorizer.to_network_size(rgb)
  hinted = colorizer.add_hints(plain, [(3, 4, (200, 30, 40), 'S')])
  # On this small map, no cell is far from the hint, so two are chosen by hand.
  is_kept = np.zeros(hinted.map_shape, bool)
  assert hinted.kept.shape == is_kept.shape
  is_kept[1, 4] = is_kept[3, 1] = True
  hinted = dataclasses.replace(hinted, kept=is_kept.astype(np.float32))
  settings = options.Settings(samples=[1, 4])
  (before,) = colorizer.draw([plain], settings)
  (after,) = colorizer.draw([hinted], settings)
  is_equal = (after.chroma == before.chroma).all(-1)
  assert is_equal[:, is_kept].all() and not is_equal.all((1, 2)).any()
  is_known = hinted.hints[..., 2] > 0
  assert not is_equal[:, is_known].any()
  # Samples that are drawn one by one, as for the page, are the same.
  for index, number in enumerate(settings.samples):
    anchored = hint_files.anchored(hinted, before.chroma[index])
    assert anchored.kept is None
    alone = options.Settings(samples=[number])
    (sample_set,) = colorizer.draw([anchored], alone)
    np.testing.assert_array_equal(sample_set.chroma[0], after.chroma[index])
    np.testing.assert_allclose(
      sample_set.bits_per_dim[0], after.bits_per_dim[index], rtol=1e-6
    )


def test_kept_cells_become_hints_with_the_chroma_of_the_sample():
  hinted = colorize.Colorizer(*tiny.hinted_model()).to_network_size(
    tiny.images(1, 20, 24)[0]
  )
  luminance = np.full(hinted.map_shape, 50.0, np.float32)
  known = hint_files.from_points([(3, 4, (200, 30, 40))], (20, 24), luminance)
  is_known = known.cells[..., 2] > 0
  hinted = dataclasses.replace(
    hinted, hints=known.cells, kept=np.where(is_known, 0.0, 1.0)
  )
  plain = np.full((*hinted.map_shape, 2), 7.0)
  cells = hint_files.anchored(hinted, plain).hints
  assert is_known.any() and not is_known.all() and (cells[..., 2] == 1).all()
  np.testing.assert_array_equal(cells[is_known], known.cells[is_known])
  chroma = 127.5 * cells[~is_known][:, :2] + [0.5, -0.5]  # in Lab units
  np.testing.assert_allclose(chroma, 7.0, atol=1e-4)


def test_a_fading_hint_is_mixed_with_the_sample_without_hints():
  colorizer = colorize.Colorizer(*tiny.hinted_model())
  hinted = colorizer.to_network_size(tiny.images(1, 20, 24)[0])
  shape = hinted.map_shape
  wanted = np.asarray(color.chroma_to_network(np.full((*shape, 2), 40.0)))
  hints = np.concatenate([wanted, np.ones((*shape, 1))], -1, dtype=np.float32)
  hints[0] = 0.0  # the first row has neither hints nor anchors
  kept = np.zeros(shape)
  kept[1] = 0.25
  hinted = dataclasses.replace(hinted, hints=hints, kept=kept)
  plain = np.full((*shape, 2), -20.0)
  found = hint_files.anchored(hinted, plain)
  chroma = np.asarray(color.chroma_from_network(found.hints[..., :2]))
  np.testing.assert_allclose(chroma[1], 0.75 * 40 - 0.25 * 20, atol=1e-4)
  np.testing.assert_allclose(chroma[2:], 40, atol=1e-4)
  assert not found.hints[0].any() and (found.hints[1:, :, 2] == 1).all()
  (after,) = colorizer.draw([hinted], options.Settings(samples=[2]))
  (before,) = colorizer.draw(
    [dataclasses.replace(hinted, hints=None, kept=None)],
    options.Settings(samples=[2]),
  )
  expected = np.rint(0.75 * 40 + 0.25 * before.chroma[0, 1])
  assert np.abs(after.chroma[0, 1] - expected).max() <= 1


def test_predictions_ignore_hints_that_fade_by_more_than_half():
  colorizer = colorize.Colorizer(*tiny.hinted_model())
  plain = colorizer.to_network_size(tiny.images(1, 20, 24)[0])
  hinted = colorizer.add_hints(plain, [(3, 4, (200, 30, 40), 'S')])
  faded = dataclasses.replace(hinted, kept=np.full(hinted.map_shape, 0.6))
  strong = dataclasses.replace(hinted, kept=np.full(hinted.map_shape, 0.4))
  expected = [colorizer.expect(x)[0] for x in (plain, faded, hinted, strong)]
  np.testing.assert_array_equal(expected[0], expected[1])
  np.testing.assert_array_equal(expected[2], expected[3])
  assert (expected[1] != expected[2]).any()
  bits = colorizer.score_originals([plain, faded, hinted, strong])
  assert bits[0] == bits[1] != bits[2] == bits[3]
