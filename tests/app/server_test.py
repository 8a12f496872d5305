"""Responses of the server to the page, two windows and invalid requests."""

import base64
import json
import re
import threading

import numpy as np
import pytest

from pic_jax.app import server, studio
from tests import tiny
from tests.app.app_client import NEUTRAL, RECIPE, pin, pixels, serving


def test_a_photograph_is_opened_drawn_and_saved(client, colorizer):
  rgb = tiny.images(1, 21, 34)[0]
  photo = client.open(rgb)
  assert (photo['height'], photo['width']) == (21, 34) and photo['has_colours']
  assert client.ask('GET', f'/photographs/{photo["id"]}') == (200, photo)
  recipes = [RECIPE | {'seed': 3, 'sample': sample} for sample in (2, 0)]
  lines = client.draw(photo, recipes)
  expected = colorizer(rgb, num_samples=3, seed=3)[[2, 0]]
  for recipe, line, wanted in zip(recipes, lines, expected, strict=True):
    shown = pixels(base64.b64decode(line['picture']))
    assert shown.shape == rgb.shape
    assert np.abs(shown.astype(int) - wanted).mean() < 4  # the error of a JPEG
    assert line['bits_per_dim'] > 0
    status, data = client.save(photo, [recipe])
    assert status == 200
    np.testing.assert_array_equal(pixels(data), wanted)
  assert lines[0]['bits_per_dim'] != lines[1]['bits_per_dim']


def test_compiling_is_reported_and_only_draw_requests_wait_for_it(
  colorizer, monkeypatch
):
  may_continue, has_begun = threading.Event(), threading.Event()
  draw = colorizer.draw

  def slow_draw(*arguments):
    has_begun.set()
    may_continue.wait(60)
    return draw(*arguments)

  monkeypatch.setattr(colorizer, 'draw', slow_draw)
  with serving(studio.Studio(colorizer, 'tiny')) as client:
    photo = client.open(tiny.images(1, 20, 26)[0])
    with client.start_drawing(photo, [RECIPE]) as response:
      assert json.loads(response.readline()) == {'compiling': True}
      assert has_begun.wait(60)
      # Other requests are answered while the compiler runs.
      assert client.view(photo, kind='grey').shape == (20, 26, 3)
      other = client.open(tiny.images(1, 20, 20)[0])
      assert client.ask('GET', f'/photographs/{other["id"]}')[0] == 200
      may_continue.set()
      assert 'picture' in json.loads(response.readline())
    path = f'/photographs/{photo["id"]}/draw'
    _, lines = client.ask('POST', path, {'recipes': [RECIPE]})
    assert b'compiling' not in lines


@pytest.mark.parametrize(
  'asked',
  [
    '{',
    '[' * 100_000,
    '[]',
    {},
    {'recipes': []},
    {'recipes': [RECIPE] * 65},
    {'recipes': [{}]},
    {'recipes': [RECIPE | {'sample': -1}]},
    {'recipes': [RECIPE | {'sample': 1.5}]},
    {'recipes': [RECIPE | {'seed': 2**40}]},
    {'recipes': [RECIPE | {'temperature': 'warm'}]},
    {'recipes': [RECIPE | {'pins': [[1, 2, '#000000']]}]},
    {'recipes': [RECIPE | {'pins': [pin(1, 2, 'red')]}]},
    {'recipes': [RECIPE | {'pins': [pin(1, 2.5, '#000000')]}]},
    {'recipes': [RECIPE | {'pins': [pin(1, 2, '#000000', 'XL')]}]},
    {'recipes': [RECIPE | {'pins': 7}]},
  ],
  ids=lambda asked: str(asked)[:40],
)
def test_invalid_draw_requests_are_refused_in_one_line(client, asked):
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  path = f'/photographs/{photo["id"]}/draw'
  status, answer = client.ask('POST', path, asked)
  assert status == 400 and '\n' not in answer['error']


@pytest.mark.parametrize(
  'changes',
  [
    {'adjustments': {}},
    {'adjustments': NEUTRAL | {'saturation': float('nan')}},
    {'adjustments': NEUTRAL | {'warmth': 1000}},
    {'adjustments': NEUTRAL | {'strength': []}},
    {'format': 'exe'},
    {'recipes': [RECIPE] * 2},
  ],
  ids=lambda changes: str(changes)[:40],
)
def test_invalid_save_requests_are_refused_in_one_line(client, changes):
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  status, answer = client.save(photo, **{'recipes': [RECIPE]} | changes)
  assert status == 400 and '\n' not in answer['error']


def test_an_unknown_path_or_photograph_is_reported(client):
  assert client.ask('GET', '/passwd')[0] == 404
  assert client.ask('GET', '/photographs')[0] == 404
  status, answer = client.ask('GET', '/photographs/unknown')
  assert status == 404 and 'open it again' in answer['error']


def test_samples_that_nobody_waits_for_are_not_drawn(client, tiny_studio):
  photo = client.open(tiny.images(1, 20, 20, seed=3)[0])
  recipes = [RECIPE | {'sample': sample} for sample in range(64)]
  with client.request(
    'POST',
    f'/photographs/{photo["id"]}/draw',
    json.dumps({'recipes': recipes}),
  ) as response:
    response.readline()
  # When this sample is drawn, the server knows that the connection is closed.
  assert len(client.draw(photo, [RECIPE | {'sample': 99}])) == 1
  num_drawn = len(tiny_studio.find(photo['id']).sample_sets)
  client.draw(photo, [RECIPE | {'sample': 100}])
  assert len(tiny_studio.find(photo['id']).sample_sets) == num_drawn + 1 < 64


def test_two_windows_do_not_disturb_each_other(client):
  photos = [client.open(tiny.images(1, 20, 26, seed)[0]) for seed in (1, 2)]
  recipes = [RECIPE | {'sample': sample} for sample in range(4)]
  alone = [client.draw(photo, recipes) for photo in photos]
  reopened = [client.open(tiny.images(1, 20, 26, seed)[0]) for seed in (1, 2)]
  together = [None, None]

  def draw_in_window(index):
    together[index] = client.draw(reopened[index], recipes)

  threads = [
    threading.Thread(target=draw_in_window, args=(i,)) for i in range(2)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert together == alone and alone[0] != alone[1]


def test_the_page_loads_nothing_from_other_sites(client):
  for name in ('', *server.FILES):
    with client.request('GET', f'/{name}') as response:
      text = response.read().decode('latin-1')
      assert response.status == 200
      policy = response.headers['content-security-policy']
    assert "default-src 'none'" in policy and 'http' not in policy
    if not name.endswith('.jpg'):
      assert not re.findall(r'https?:|[\'"(]//', text), name
  # The server serves every file of its folder that is not Python code.
  names = {path.name for path in server.HERE.iterdir() if path.is_file()}
  assert names == {*server.FILES} | {name for name in names if '.py' in name}
