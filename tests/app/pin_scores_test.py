"""Scores of pins: how fully versions take them, where colours run over."""

import numpy as np
import pytest

from pic_jax.app import pin_scores
from pic_jax.photos import anchors, brush

RED = (40.0, 22.0)
SHAPE = (16, 21)
PIN = brush.Stroke(8, 5, RED, 'S')


def scene():
  """An object of L 60 in columns 3 to 7, outlined in black, in blue."""
  luminance = np.full(SHAPE, 70.0, np.float32)
  luminance[3:14, 2:9] = 0.0
  luminance[4:13, 3:8] = 60.0
  plain = np.broadcast_to(np.float32([0, -20]), (*SHAPE, 2))
  return luminance, plain.copy(), luminance == 60


def test_the_score_is_the_share_of_the_object_that_took_the_colour():
  luminance, plain, is_object = scene()
  for columns in (slice(3, 8), slice(5, 6), slice(0, 0)):
    chroma = plain.copy()
    chroma[4:13, columns] = RED
    chroma[8, 5] = RED
    found = pin_scores.score([PIN], luminance, chroma, plain=plain)
    took = (chroma[..., 0] > 0)[is_object].mean()
    assert found.taken == pytest.approx(took)
    assert found.spill == 0 and found.overrun is None
  half = plain.copy()
  # 25 units away: half-way from 5, fully taken, to 45, not taken.
  half[is_object] = np.float32(RED) + (0, 25)
  assert pin_scores.score([PIN], luminance, half, plain=plain).taken == 0.5


def test_a_colour_as_vivid_as_the_dark_allows_counts_as_taken():
  luminance, plain, is_object = scene()
  luminance = np.where(is_object, 8.0, 70.0)
  dark = plain.copy()
  dark[is_object] = (20, 11)
  assert pin_scores.score([PIN], luminance, dark, plain=plain).taken > 0.9
  bright = np.where(is_object[..., None], (90, 50), plain)
  assert pin_scores.score([PIN], luminance, bright, plain=plain).taken < 0.1


def test_where_a_colour_ran_over_is_found():
  luminance, plain, is_object = scene()
  chroma = np.where(is_object[..., None], RED, plain).astype(np.float32)
  chroma[2:7, 14:19] = RED
  chroma[12, 12] = RED  # one cell is no area
  found = pin_scores.score([PIN], luminance, chroma, plain=plain)
  assert found.overrun == (4, 16) and found.taken == 1.0
  distance = np.hypot(40, 42)
  outside = brush.distances(PIN, luminance) > pin_scores.FAR
  assert found.spill == pytest.approx(26 * distance / outside.sum(), rel=1e-3)
  few = chroma.copy()
  few[2:7, 16:19] = plain[2:7, 16:19]
  assert pin_scores.score([PIN], luminance, few, plain=plain).overrun is None
  # What has that colour without the pin did not run over.
  assert (
    pin_scores.score([PIN], luminance, chroma, plain=chroma).overrun is None
  )
  assert pin_scores.score([PIN], luminance, chroma, plain=chroma).spill == 0


def test_an_object_may_be_unevenly_lit():
  luminance, plain, is_object = scene()
  luminance[4:13, 6:8] -= 15.0
  chroma = np.where(is_object[..., None], RED, plain).astype(np.float32)
  found = pin_scores.score([PIN], luminance, chroma, plain=plain)
  assert (found.taken, found.spill, found.overrun) == (1.0, 0.0, None)


def test_a_large_brush_is_also_scored_by_what_lies_just_beyond_it():
  luminance = np.full((16, 48), 50.0, np.float32)
  pin = brush.Stroke(8, 5, RED, 'L')
  plain = np.zeros((16, 48, 2), np.float32)
  chroma = plain.copy()
  is_reached = brush.paint([pin], luminance).is_reached
  chroma[is_reached] = RED
  taken = pin_scores.score([pin], luminance, chroma, plain=plain).taken
  near = brush.distances(pin, luminance) <= brush.REACHES['L'] + anchors.MARGIN
  assert taken == pytest.approx(is_reached.sum() / near.sum()) and taken < 1
  chroma[near] = RED
  found = pin_scores.score([pin], luminance, chroma, plain=plain)
  assert (found.taken, found.spill, found.overrun) == (1.0, 0.0, None)


def test_cells_of_another_pin_do_not_lower_the_score():
  luminance = np.full((16, 48), 50.0, np.float32)
  pins = [
    brush.Stroke(8, 15, RED),
    brush.Stroke(8, 20, (-45.0, 45.0)),
    brush.Stroke(8, 25, (30.0, -50.0)),
  ]
  painted = brush.paint(pins, luminance)
  plain = np.zeros((16, 48, 2), np.float32)
  chroma = np.where(painted.is_reached[..., None], painted.chroma, plain)
  assert pin_scores.score(pins, luminance, chroma, plain=plain).taken > 0.85


def test_a_grey_pin_runs_over_nothing():
  luminance, plain, _ = scene()
  none = np.zeros_like(plain)
  grey = PIN._replace(chroma=(0.0, 0.0))
  found = pin_scores.score([grey], luminance, none, plain=plain + 50)
  assert (found.taken, found.spill, found.overrun) == (1.0, 0.0, None)


def test_several_pins_count_alike_and_no_pins_score_1():
  luminance, plain, is_object = scene()
  chroma = np.where(is_object[..., None], RED, plain).astype(np.float32)
  other = brush.Stroke(8, 15, (-45.0, 45.0), 'S')
  found = pin_scores.score([PIN, other], luminance, chroma, plain=plain)
  assert found.taken == pytest.approx(0.5)
  assert pin_scores.score([], luminance, chroma, plain=plain).taken == 1.0
