"""Photographs in memory, and the programs that are compiled for them."""

import jax
import numpy as np
import pytest

from pic_jax.app import sample_recipe, server, studio
from pic_jax.photos import colorize
from tests import tiny
from tests.app.app_client import RECIPE, SITE, listening, pin, png


@pytest.mark.parametrize(
  'data,text',
  [
    (b'', 'empty'),
    (b'no photograph', 'not a readable JPEG'),
    (png(tiny.images(1, 20, 20)[0])[:200], 'damaged'),
    (png(np.zeros((8001, 8001), np.uint8)), 'more than the limit'),
  ],
  ids=['empty', 'text', 'cut', 'bomb'],
)
def test_an_unreadable_file_gives_a_message_of_one_line(client, data, text):
  status, answer = client.ask('POST', '/photographs', data)
  assert status == 422 and text in answer['error']
  assert '\n' not in answer['error']


def test_the_least_recently_used_photographs_are_dropped(client, monkeypatch):
  monkeypatch.setattr(studio, 'MAX_PHOTOGRAPHS', 2)
  first, second = (client.open(tiny.images(1, 20, 20)[0]) for _ in range(2))
  # This request makes the second photograph the least recently used one.
  client.ask('GET', f'/photographs/{first["id"]}')
  third = client.open(tiny.images(1, 20, 20)[0])
  answers = [
    client.ask('GET', f'/photographs/{photo["id"]}')[0]
    for photo in (first, second, third)
  ]
  assert answers == [200, 404, 200]


@pytest.mark.slow
def test_a_warm_server_compiles_nothing_for_the_first_photograph_and_pin(
  monkeypatch, caplog
):
  jax.clear_caches()  # other tests compiled the same programs
  the_studio = studio.Studio(colorize.Colorizer(*tiny.hinted_model()), 'tiny')
  monkeypatch.setattr(studio, 'ASPECTS', ((2, 3),))
  # The context manager `jax.log_compiles` would not reach the server's threads.
  jax.config.update('jax_log_compiles', True)
  try:
    the_studio.warm_up(lambda done, total: None)
    assert num_compilations(caplog) > 0
    caplog.clear()
    with listening(server.Server(the_studio, SITE)) as client:
      photo = client.open(tiny.images(1, 400, 600)[0])
      (plain,) = client.draw(photo, [RECIPE])
      status, _ = client.ask(
        'POST',
        f'/photographs/{photo["id"]}/palette',
        {'x': 90, 'y': 120, 'pins': [], 'recipes': [RECIPE]},
      )
      pinned_recipe = RECIPE | {'pins': [pin(90, 120, '#ff0000')]}
      (pinned,) = client.draw(photo, [pinned_recipe])
  finally:
    jax.config.update('jax_log_compiles', False)
  assert status == 200 and plain['picture'] != pinned['picture']
  assert num_compilations(caplog) == 0


def num_compilations(caplog):
  return sum('Compiling' in record.getMessage() for record in caplog.records)


@pytest.mark.slow
def test_warm_up_compiles_the_shapes_of_all_photographs(monkeypatch):
  colorizer = colorize.Colorizer(*tiny.untrained_model())
  compiled = set()
  really_draw = colorizer.draw

  def draw(inputs, settings):
    compiled.add((inputs[0].grey_values.shape, len(settings.numbers)))
    return really_draw(inputs, settings)

  monkeypatch.setattr(colorizer, 'draw', draw)
  studio.Studio(colorizer, 'tiny').warm_up(lambda done, total: None)
  recipe = sample_recipe.Recipe.from_json(RECIPE | {'sample': 5})
  for width in (1, 30, 90, 100, 101, 130, 150, 160, 199, 210, 300, 500, 1000):
    blank = np.zeros((100, width), np.uint8)
    for rgb in (blank, blank.T):
      shape = colorizer.to_network_size(rgb).grey_values.shape
      assert (shape, len(recipe.settings().numbers)) in compiled
  assert len(compiled) == 7
