"""Pictures for the screen and for files."""

import io
import zipfile

import numpy as np
import pytest

from pic_jax.app import opened_photograph
from pic_jax.images import encoding
from tests import tiny
from tests.app.app_client import NEUTRAL, RECIPE, pin, pixels


def test_the_screen_shows_what_is_saved(client, colorizer):
  rgb = tiny.images(1, 20, 26)[0]
  photo = client.open(rgb)
  warm = NEUTRAL | {'saturation': 1.5, 'warmth': 40.0}
  asked = {'kind': 'version', 'recipe': RECIPE, 'adjustments': warm}
  shown = client.view(photo, **asked).astype(int)
  _, data = client.save(photo, [RECIPE], adjustments=warm)
  saved = pixels(data)
  np.testing.assert_array_equal(
    saved, colorizer(rgb, num_samples=1, saturation=1.5, warmth=40.0)[0]
  )
  assert np.abs(shown - saved).mean() < 4  # the error of a JPEG
  grey = client.view(photo, kind='grey').astype(int)
  assert np.ptp(grey, -1).max() <= 3
  without_colour = client.view(
    photo, **asked | {'adjustments': NEUTRAL | {'strength': 0.0}}
  )
  assert np.abs(without_colour.astype(int) - grey).mean() < 2
  original = client.view(photo, kind='original').astype(int)
  assert np.abs(original - rgb).mean() < 6


@pytest.mark.parametrize('kind', ['grey', 'version', 'original'])
def test_a_part_is_shown_as_sharply_as_the_photograph(
  client, monkeypatch, kind
):
  monkeypatch.setattr(opened_photograph, 'SCREEN_SIDE', 60)
  # Fine stripes, which the reduced picture of the whole photograph loses.
  rgb = np.repeat(tiny.images(1, 90, 12)[0], 10, 1)
  rgb[:, ::2] //= 2
  photo = client.open(rgb)
  muted = NEUTRAL | {'saturation': 0.1}  # keeps the stripes in the gamut
  asked = {'kind': kind, 'recipe': RECIPE, 'adjustments': muted}
  _, data = client.save(photo, [RECIPE], adjustments=muted)
  full_size = {'version': pixels(data), 'original': rgb}.get(kind)
  if full_size is None:  # 'grey'
    _, data = client.save(
      photo, [RECIPE], adjustments=NEUTRAL | {'strength': 0.0}
    )
    full_size = pixels(data)
  whole = client.view(photo, **asked)
  part = client.view(photo, **asked, box=[30, 20, 70, 50], width=40)
  assert whole.shape == (45, 60, 3) and part.shape == (30, 40, 3)
  error = np.abs(part.astype(int) - full_size[20:50, 30:70]).mean()
  stripes = np.abs(np.diff(full_size[20:50, 30:70].astype(int), axis=1)).mean()
  assert error < 6 < stripes
  half = client.view(photo, **asked, box=[30, 20, 70, 50], width=20)
  assert half.shape == (15, 20, 3)
  assert np.abs(half.astype(int).mean((0, 1)) - part.mean((0, 1))).max() < 4


def test_a_part_outside_the_photograph_is_refused(client):
  photo = client.open(tiny.images(1, 20, 26)[0])
  path = f'/photographs/{photo["id"]}/view'
  for box in ([0, 0, 27, 20], [5, 5, 5, 9], [-1, 0, 4, 4]):
    asked = {'kind': 'grey', 'box': box, 'width': 9}
    status, answer = client.ask('POST', path, asked)
    assert status == 400 and 'outside' in answer['error']


def test_before_and_after_are_saved_side_by_side(client):
  rgb = tiny.images(1, 20, 26)[0]
  photo = client.open(rgb)
  _, alone = client.save(photo, [RECIPE])
  status, data = client.save(photo, [RECIPE], beside=True)
  both = pixels(data)
  assert status == 200 and both.shape == (20, 52, 3)
  np.testing.assert_array_equal(both[:, 26:], pixels(alone))
  assert np.ptp(both[:, :26].astype(int), -1).max() <= 1


def test_several_versions_are_saved_as_an_archive(client):
  photo = client.open(tiny.images(1, 20, 26)[0])
  pinned = RECIPE | {'pins': [pin(3, 4, '#c81e28')]}
  recipes = [RECIPE, RECIPE | {'sample': 7}, pinned]
  status, data = client.save(photo, recipes, name='../my cat.png')
  assert status == 200
  with zipfile.ZipFile(io.BytesIO(data)) as archive:
    assert archive.namelist() == [
      '_my cat.png.0.png',
      '_my cat.png.7.png',
      '_my cat.png.0-2.png',
    ]
    for name, recipe in zip(archive.namelist(), recipes, strict=True):
      assert archive.read(name) == client.save(photo, [recipe])[1]


def test_a_picture_too_large_for_its_format_is_refused(client, monkeypatch):
  monkeypatch.setitem(encoding.MAX_SIDES, 'jpg', 39)
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  assert client.save(photo, [RECIPE], format='jpg')[0] == 200
  status, answer = client.save(photo, [RECIPE], format='jpg', beside=True)
  assert status == 400 and 'at most 39 pixels' in answer['error']
  assert client.save(photo, [RECIPE], beside=True)[0] == 200
