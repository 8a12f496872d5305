"""How well versions took their pins, and where colours ran over."""

import numpy as np
import pytest

from pic_jax.app import pin_scores
from pic_jax.photos import brush

RED = (50.0, 30.0)
SHAPE = (16, 21)
PIN = brush.Stroke(8, 5, RED, 'S')


def scene():
  """An object of L 50 in columns 3 to 7, all else lighter, in grey."""
  luminance = np.full(SHAPE, 62.0, np.float32)
  luminance[4:13, 3:8] = 50.0
  return luminance, np.zeros((*SHAPE, 2), np.float32), luminance == 50


def test_all_none_and_half_of_an_object():
  luminance, plain, is_object = scene()
  for columns, expected in ((slice(3, 8), 1.0), (slice(5, 6), 0.12)):
    chroma = plain.copy()
    chroma[4:13, columns] = RED
    found = pin_scores.score([PIN], luminance, chroma, plain)
    # Within 4 cells of the pin; its own, which it gives, does not count.
    rows, cols = np.ogrid[:16, :21]
    reach = np.hypot(rows - 8, cols - 5) <= 4
    reach[8, 5] = False
    took = (chroma[..., 0] > 0)[reach & is_object].mean()
    assert found.taken == pytest.approx(took)
    assert abs(found.taken - expected) < 0.12
    assert found.spill == 0 and found.overrun is None
  given = plain.copy()
  given[8, 5] = RED
  assert pin_scores.score([PIN], luminance, given, plain).taken == 0


def test_what_a_pin_can_be_in_the_dark_counts_as_taken():
  luminance, plain, is_object = scene()
  luminance[is_object] = 8.0
  dark = plain.copy()
  dark[is_object] = (12, 6)
  assert pin_scores.score([PIN], luminance, dark, plain).taken == 1.0


def test_where_a_colour_ran_over_is_found():
  luminance, plain, is_object = scene()
  chroma = np.where(is_object[..., None], RED, plain).astype(np.float32)
  chroma[2:7, 14:19] = RED
  chroma[12, 12] = RED  # one cell is no area
  found = pin_scores.score([PIN], luminance, chroma, plain)
  assert found.overrun == (4, 16) and found.taken == 1.0
  distance = np.hypot(*RED)
  outside = (~is_object).sum()  # of it all, the pin reaches nothing
  assert found.spill == pytest.approx(26 * distance / outside, rel=0.1)
  # What has that colour without the pin did not run over.
  assert pin_scores.score([PIN], luminance, chroma, chroma).overrun is None
  assert pin_scores.score([PIN], luminance, chroma, chroma).spill == 0


def test_a_grey_pin_runs_over_nothing():
  luminance, plain, _ = scene()
  colourful = np.full_like(plain, 40.0)
  grey = PIN._replace(chroma=(0.0, 0.0))
  found = pin_scores.score([grey], luminance, plain, colourful)
  assert (found.taken, found.spill, found.overrun) == (1.0, 0.0, None)


def test_several_pins_count_alike_and_none_is_all():
  luminance, plain, is_object = scene()
  chroma = np.where(is_object[..., None], RED, plain).astype(np.float32)
  other = brush.Stroke(8, 15, (-40.0, 30.0), 'S')
  found = pin_scores.score([PIN, other], luminance, chroma, plain)
  assert found.taken == pytest.approx(0.5)
  assert pin_scores.score([], luminance, chroma, plain).taken == 1.0
