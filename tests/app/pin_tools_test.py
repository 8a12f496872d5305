"""Colours for a spot, scores of pins, and files of pins."""

import numpy as np

from pic_jax.app import palette, pin_scores
from tests import tiny
from tests.app.app_client import RECIPE, pin


def test_the_palette_depends_on_drawn_samples_and_on_pins(client):
  photo = client.open(tiny.images(1, 20, 26)[0])
  recipes = [RECIPE | {'sample': sample} for sample in range(3)]
  client.draw(photo, recipes)

  def likely(**changes):
    """Returns the likely colours; `changes` replace fields of the request."""
    status, found = client.ask(
      'POST',
      f'/photographs/{photo["id"]}/palette',
      {'x': 9, 'y': 12, 'pins': [], 'recipes': []} | changes,
    )
    assert status == 200
    assert len(found['vivid']) == 12
    colours = found['likely']
    shares = [colour['share'] for colour in colours]
    assert shares == sorted(shares, reverse=True) and 0.3 < sum(shares) < 1.01
    return colours

  without_samples, with_samples = likely(), likely(recipes=recipes)
  assert without_samples != with_samples
  # Pins elsewhere have an effect. Samples with a pin at the spot have none.
  assert likely(pins=[pin(11, 12, '#c81e28')]) != without_samples
  pinned = [recipe | {'pins': [pin(9, 12, '#c81e28')]} for recipe in recipes]
  assert likely(recipes=pinned) == without_samples
  # A pin far from the spot does not change the samples there.
  far = [recipe | {'pins': [pin(25, 1, '#c81e28', 'S')]} for recipe in recipes]
  assert likely(recipes=far) == with_samples


def test_the_swatch_here_has_the_colour_of_the_version_on_the_screen(
  client, tiny_studio
):
  photo = client.open(tiny.images(1, 24, 24)[0])
  recipes = [RECIPE | {'sample': sample} for sample in (1, 0)]
  client.draw(photo, recipes)
  opened = tiny_studio.find(photo['id'])
  first, second = (x.chroma[0] for x in opened.sample_sets.values())
  # The cell in which the two samples differ most.
  difference = np.linalg.norm(first - second, axis=-1)
  row, column = np.unravel_index(difference.argmax(), difference.shape)
  cell_side = 24 // len(difference)
  x, y = int(cell_side * column), int(cell_side * row)
  path = f'/photographs/{photo["id"]}/palette'
  asked = {'x': x, 'y': y, 'pins': [], 'recipes': recipes}
  _, found = client.ask('POST', path, asked)
  expected = [
    list(
      palette.swatch_of_version(
        chroma[row, column], opened.network_input.luminance[y, x]
      ).pin_rgb
    )
    for chroma in (first, second)
  ]
  assert found['here']['pin_rgb'] == expected[0] != expected[1]
  _, found = client.ask('POST', path, asked | {'recipes': []})
  assert found['here'] is None


def test_scores_of_pins_are_sent_with_versions(client, monkeypatch):
  photo = client.open(tiny.images(1, 20, 26)[0])
  (plain,) = client.draw(photo, [RECIPE])
  assert 'taken' not in plain
  pinned = RECIPE | {'pins': [pin(3, 4, '#c81e28', 'L')]}
  (line,) = client.draw(photo, [pinned])
  assert 0 <= line['taken'] <= 1 and line['spill'] >= 0
  (note,) = line['notes']
  assert 'cells are known from hints' in note
  score = pin_scores.PinScore(0.5, 3.0, (2, 1))
  monkeypatch.setattr(pin_scores, 'score', lambda *_, **__: score)
  (line,) = client.draw(photo, [pinned])
  # The suggested pin is in cell (2, 1), which has about 5 rows of 6 pixels.
  cure = line['cure']
  assert 20 * 2 / 4 <= cure['y'] < 20 * 3 / 4 and 0 < cure['x'] < 26 / 2
  assert client.draw(photo, [RECIPE | {'pins': [cure]}])[0]['picture']


def test_files_of_pins_are_read_and_their_mistakes_are_reported(client):
  photo = client.open(tiny.images(1, 20, 26)[0])
  path = f'/photographs/{photo["id"]}/pins'
  status, answer = client.ask(
    'POST', path, b'# one\n3, 4, #C81E28\n5,6,1,2,3\n'
  )
  assert status == 200
  assert [(x['x'], x['y'], x['color']) for x in answer['pins']] == [
    (3, 4, '#c81e28'),
    (5, 6, '#010203'),
  ]
  assert 'cells are known from hints.' in answer['notes'][0]
  _, answer = client.ask('POST', path, b'3,4,#c81e28,roof\n3,4,#010203\n')
  _, clash, ignored = answer['notes']
  assert 'the later one counts.' in clash and "'roof'" in ignored
  status, answer = client.ask('POST', path, b'1,2\n')
  assert status == 400 and 'line 1' in answer['error']
  status, answer = client.ask('POST', path, b'26,2,#000000\n')
  assert status == 400 and 'outside' in answer['error']


def test_a_pin_outside_the_photograph_is_reported(client):
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  recipe = RECIPE | {'pins': [pin(20, 3, '#000000')]}
  (line,) = client.draw(photo, [recipe])
  assert 'outside' in line['error']
