"""Scores of pins: how fully versions took them, and where colours ran over."""

import numpy as np
import pytest

from pic_jax.app import pin_scores
from pic_jax.photos import anchors, brush

RED = (40.0, 22.0)
SHAPE = (16, 21)
PIN = brush.Stroke(8, 5, RED, 'S')


def scene():
  """Builds a photograph of an object with a black outline.

  Returns:
    Luminance L, which is 60 in the object and 70 outside the outline; chroma
    without pins, blue everywhere; and the mask of the object.
  """
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
    red_share = (chroma[..., 0] > 0)[is_object].mean()
    assert found.taken == pytest.approx(red_share)
    assert found.spill == 0 and found.overrun is None
  half = plain.copy()
  # A distance of 25 is half-way between 5 (fully taken) and 45 (not taken).
  half[is_object] = np.float32(RED) + (0, 25)
  assert pin_scores.score([PIN], luminance, half, plain=plain).taken == 0.5


def test_the_most_vivid_colour_of_a_dark_object_counts_as_taken():
  luminance, plain, is_object = scene()
  luminance = np.where(is_object, 8.0, 70.0)
  dark = plain.copy()
  dark[is_object] = (20, 11)
  assert pin_scores.score([PIN], luminance, dark, plain=plain).taken > 0.9
  too_vivid = np.where(is_object[..., None], (90, 50), plain)
  found = pin_scores.score([PIN], luminance, too_vivid, plain=plain)
  assert found.taken < 0.1


def test_the_place_to_which_a_colour_ran_over_is_found():
  luminance, plain, is_object = scene()
  chroma = np.where(is_object[..., None], RED, plain).astype(np.float32)
  chroma[2:7, 14:19] = RED
  chroma[12, 12] = RED  # a single cell, which does not affect the place
  found = pin_scores.score([PIN], luminance, chroma, plain=plain)
  assert found.overrun == (4, 16) and found.taken == 1.0
  distance = np.hypot(40, 42)
  outside = brush.distances(PIN, luminance) > pin_scores.FAR
  assert found.spill == pytest.approx(26 * distance / outside.sum(), rel=1e-3)
  # An area of fewer cells than `MIN_OVERRUN` is not reported.
  small = chroma.copy()
  small[2:7, 16:19] = plain[2:7, 16:19]
  assert pin_scores.score([PIN], luminance, small, plain=plain).overrun is None
  # Cells that have the colour without the pin did not get it from the pin.
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


def test_cells_just_beyond_the_reach_of_a_large_brush_are_scored():
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


def test_the_colour_of_a_grey_pin_never_runs_over():
  luminance, plain, _ = scene()
  grey_chroma = np.zeros_like(plain)
  grey_pin = PIN._replace(chroma=(0.0, 0.0))
  found = pin_scores.score([grey_pin], luminance, grey_chroma, plain=plain + 50)
  assert (found.taken, found.spill, found.overrun) == (1.0, 0.0, None)


def test_the_score_is_the_mean_over_pins_and_1_without_pins():
  luminance, plain, is_object = scene()
  chroma = np.where(is_object[..., None], RED, plain).astype(np.float32)
  other = brush.Stroke(8, 15, (-45.0, 45.0), 'S')
  found = pin_scores.score([PIN, other], luminance, chroma, plain=plain)
  assert found.taken == pytest.approx(0.5)
  assert pin_scores.score([], luminance, chroma, plain=plain).taken == 1.0
