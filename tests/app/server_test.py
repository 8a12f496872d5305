"""Answers of the app's server: to its page, to strangers, to nonsense."""

import base64
import contextlib
import http.client
import io
import json
import re
import threading
import time
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image

from pic_jax.app import (
  boundary,
  opened_photograph,
  palette,
  pin_scores,
  sample_recipe,
  serve,
  server,
  studio,
)
from pic_jax.images import encoding
from pic_jax.photos import colorize
from tests import tiny

RECIPE = {'seed': 0, 'sample': 0, 'temperature': 1.0, 'pins': []}
NEUTRAL = {'saturation': 1.0, 'warmth': 0.0, 'tint': 0.0, 'strength': 1.0}


def pin(x, y, color, size=''):
  return {'x': x, 'y': y, 'color': color, 'size': size}


class Client:
  """Asks a server, one connection for each request."""

  def __init__(self, port):
    self.port = port

  @contextlib.contextmanager
  def asking(self, method, path, body=None, **headers):
    connection = http.client.HTTPConnection('127.0.0.1', self.port, 120)
    try:
      connection.request(method, path, body, headers)
      yield connection.getresponse()
    finally:
      connection.close()

  def ask(self, method, path, body=None, **headers):
    """Status and body; JSON is decoded."""
    if isinstance(body, dict | list):
      body = json.dumps(body)
    with self.asking(method, path, body, **headers) as response:
      data = response.read()
      is_json = response.headers['content-type'] == 'application/json'
      return response.status, json.loads(data) if is_json else data

  def open(self, rgb):
    status, facts = self.ask('POST', '/photographs', png(rgb))
    assert status == 201
    return facts

  def draw(self, photo, recipes):
    """Returns the lines of the samples, without the line about compiling."""
    status, lines = self.ask(
      'POST', f'/photographs/{photo["id"]}/draw', {'recipes': recipes}
    )
    assert status == 200
    found = [json.loads(line) for line in lines.splitlines()]
    return [line for line in found if 'compiling' not in line]

  def view(self, photo, **asked):
    """Pixels of a picture for the screen."""
    path = f'/photographs/{photo["id"]}/view'
    status, data = self.ask('POST', path, asked)
    assert status == 200
    return pixels(data)

  def save(self, photo, recipes, **changes):
    """Status and file."""
    asked = {'recipes': recipes, 'adjustments': NEUTRAL, 'format': 'png'}
    path = f'/photographs/{photo["id"]}/save'
    return self.ask('POST', path, asked | {'beside': False} | changes)


@pytest.fixture(scope='module')
def colorizer():
  return colorize.Colorizer(*tiny.hinted_model(), 'digest')


@pytest.fixture(scope='module')
def its_studio(colorizer):
  return studio.Studio(colorizer, 'tiny')


SITE = boundary.Site('127.0.0.1', ('MyPC.local', 'photos.example.org'))


@contextlib.contextmanager
def listening(page):
  with serve.listen('127.0.0.1', 0) as listener:
    its_server = serve.build_server(page)
    thread = threading.Thread(target=its_server.run, args=([listener],))
    thread.start()
    yield Client(listener.getsockname()[1])
    its_server.should_exit = True
    thread.join()


def serving(photographs):
  return listening(server.Server(photographs, SITE))


@pytest.fixture(scope='module')
def client(its_studio):
  with serving(its_studio) as client:
    yield client


def png(rgb):
  file = io.BytesIO()
  Image.fromarray(rgb).save(file, 'PNG')
  return file.getvalue()


def pixels(data):
  return np.asarray(Image.open(io.BytesIO(data)))


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
    assert np.abs(shown.astype(int) - wanted).mean() < 4  # of a JPEG
    assert line['bits_per_dim'] > 0
    status, data = client.save(photo, [recipe])
    assert status == 200
    np.testing.assert_array_equal(pixels(data), wanted)
  assert lines[0]['bits_per_dim'] != lines[1]['bits_per_dim']


def test_pins_hold_and_are_what_the_command_line_calls_hints(
  client, colorizer, monkeypatch
):
  # Pins are placed in pixels of the photograph, not of smaller pictures.
  for name in ('SCREEN_SIDE', 'SMALL_SIDE'):
    monkeypatch.setattr(opened_photograph, name, 16)
  rgb = tiny.images(1, 21, 34)[0]
  photo = client.open(rgb)
  pins = [pin(3, 4, '#c81e28'), pin(33, 20, '#1e28c8')]
  recipe = RECIPE | {'sample': 2, 'pins': pins}
  (line,) = client.draw(photo, [recipe])
  assert pixels(base64.b64decode(line['picture'])).shape == (10, 16, 3)
  status, data = client.save(photo, [recipe])
  known = [(3, 4, (200, 30, 40)), (33, 20, (30, 40, 200))]
  (wanted,) = colorizer(rgb, hints=known, samples=[2])
  np.testing.assert_array_equal(pixels(data), wanted)
  assert (colorizer(rgb, samples=[2])[0] != wanted).any()


def test_the_palette_depends_on_drawn_samples_and_on_pins(client, its_studio):
  photo = client.open(tiny.images(1, 20, 26)[0])
  recipes = [RECIPE | {'sample': sample} for sample in range(3)]
  client.draw(photo, recipes)

  def likely(**changes):
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

  alone, drawn = likely(), likely(recipes=recipes)
  assert alone != drawn
  # A pin elsewhere counts; samples that had a pin here add nothing.
  assert likely(pins=[pin(11, 12, '#c81e28')]) != alone
  pinned = [recipe | {'pins': [pin(9, 12, '#c81e28')]} for recipe in recipes]
  assert likely(recipes=pinned) == alone
  # Far from its pin, a sample keeps its colours, and they count.
  far = [recipe | {'pins': [pin(25, 1, '#c81e28', 'S')]} for recipe in recipes]
  assert likely(recipes=far) == drawn


def test_the_colour_here_is_that_of_the_version_on_the_screen(
  client, its_studio
):
  photo = client.open(tiny.images(1, 24, 24)[0])
  recipes = [RECIPE | {'sample': sample} for sample in (1, 0)]
  client.draw(photo, recipes)
  opened = its_studio.find(photo['id'])
  first, second = (one.chroma[0] for one in opened.sample_sets.values())
  apart = np.linalg.norm(first - second, axis=-1)
  row, column = np.unravel_index(apart.argmax(), apart.shape)
  size = 24 // len(apart)  # of a cell
  x, y = int(size * column), int(size * row)
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


def test_scores_of_pins_come_with_versions(client, monkeypatch):
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
  # In that cell, which has about 5 rows and 6 columns of pixels.
  cure = line['cure']
  assert 20 * 2 / 4 <= cure['y'] < 20 * 3 / 4 and 0 < cure['x'] < 26 / 2
  assert client.draw(photo, [RECIPE | {'pins': [cure]}])[0]['picture']


def test_the_screen_shows_what_is_saved(client, colorizer):
  rgb = tiny.images(1, 20, 26)[0]
  photo = client.open(rgb)
  wanted = NEUTRAL | {'saturation': 1.5, 'warmth': 40.0}
  asked = {'kind': 'version', 'recipe': RECIPE, 'adjustments': wanted}
  shown = client.view(photo, **asked).astype(int)
  _, data = client.save(photo, [RECIPE], adjustments=wanted)
  saved = pixels(data)
  np.testing.assert_array_equal(
    saved, colorizer(rgb, num_samples=1, saturation=1.5, warmth=40.0)[0]
  )
  assert np.abs(shown - saved).mean() < 4  # of a JPEG
  grey = client.view(photo, kind='grey').astype(int)
  assert np.ptp(grey, -1).max() <= 3
  none = asked | {'adjustments': NEUTRAL | {'strength': 0.0}}
  assert np.abs(client.view(photo, **none).astype(int) - grey).mean() < 2
  own = client.view(photo, kind='original').astype(int)
  assert np.abs(own - rgb).mean() < 6


@pytest.mark.parametrize('kind', ['grey', 'version', 'original'])
def test_a_part_is_shown_as_sharp_as_the_photograph_is(
  client, monkeypatch, kind
):
  monkeypatch.setattr(opened_photograph, 'SCREEN_SIDE', 60)
  # Fine stripes: in what is shown whole they are gone.
  rgb = np.repeat(tiny.images(1, 90, 12)[0], 10, 1)
  rgb[:, ::2] //= 2
  photo = client.open(rgb)
  muted = NEUTRAL | {'saturation': 0.1}  # inside the gamut
  asked = {'kind': kind, 'recipe': RECIPE, 'adjustments': muted}
  _, data = client.save(photo, [RECIPE], adjustments=muted)
  wanted = {'version': pixels(data), 'original': rgb}.get(kind)
  if wanted is None:
    _, data = client.save(
      photo, [RECIPE], adjustments=NEUTRAL | {'strength': 0.0}
    )
    wanted = pixels(data)
  whole = client.view(photo, **asked)
  part = client.view(photo, **asked, box=[30, 20, 70, 50], width=40)
  assert whole.shape == (45, 60, 3) and part.shape == (30, 40, 3)
  error = np.abs(part.astype(int) - wanted[20:50, 30:70]).mean()
  stripes = np.abs(np.diff(wanted[20:50, 30:70].astype(int), axis=1)).mean()
  assert error < 6 < stripes
  half = client.view(photo, **asked, box=[30, 20, 70, 50], width=20)
  assert half.shape == (15, 20, 3)
  assert np.abs(half.astype(int).mean((0, 1)) - part.mean((0, 1))).max() < 4


def test_a_part_outside_is_refused(client):
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


def test_pins_of_a_file_are_read_as_the_command_line_reads_them(client):
  photo = client.open(tiny.images(1, 20, 26)[0])
  path = f'/photographs/{photo["id"]}/pins'
  status, answer = client.ask(
    'POST', path, b'# one\n3, 4, #C81E28\n5,6,1,2,3\n'
  )
  assert status == 200
  assert [(one['x'], one['y'], one['color']) for one in answer['pins']] == [
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


def test_compiling_is_reported_and_only_drawings_wait_for_it(
  colorizer, monkeypatch
):
  goes_on, begun = threading.Event(), threading.Event()
  draw = colorizer.draw

  def slow_draw(*arguments):
    begun.set()
    goes_on.wait(60)
    return draw(*arguments)

  monkeypatch.setattr(colorizer, 'draw', slow_draw)
  with serving(studio.Studio(colorizer, 'tiny')) as client:
    photo = client.open(tiny.images(1, 20, 26)[0])
    with client.asking(
      'POST',
      f'/photographs/{photo["id"]}/draw',
      json.dumps({'recipes': [RECIPE]}),
    ) as response:
      assert json.loads(response.readline()) == {'compiling': True}
      assert begun.wait(60)
      # All this while the compiler runs.
      assert client.view(photo, kind='grey').shape == (20, 26, 3)
      other = client.open(tiny.images(1, 20, 20)[0])
      assert client.ask('GET', f'/photographs/{other["id"]}')[0] == 200
      goes_on.set()
      assert 'picture' in json.loads(response.readline())
    path = f'/photographs/{photo["id"]}/draw'
    _, lines = client.ask('POST', path, {'recipes': [RECIPE]})
    assert b'compiling' not in lines


def test_a_palette_does_not_wait_for_the_compiler(colorizer, monkeypatch):
  goes_on, begun = threading.Event(), threading.Event()
  expect = colorizer.expect

  def slow_expect(network_input):
    begun.set()
    goes_on.wait(60)
    return expect(network_input)

  monkeypatch.setattr(colorizer, 'expect', slow_expect)
  with serving(studio.Studio(colorizer, 'tiny')) as client:
    photo = client.open(tiny.images(1, 20, 26)[0])
    client.draw(photo, [RECIPE])
    path = f'/photographs/{photo["id"]}/palette'
    asked = {'x': 9, 'y': 12, 'pins': [], 'recipes': [RECIPE]}
    status, found = client.ask('POST', path, asked)
    assert status == 200 and begun.wait(60) and not goes_on.is_set()
    assert found['likely'][0]['share'] > 0.5  # of the one sample
    goes_on.set()
    alone = client.ask('POST', path, asked | {'recipes': []})[1]['likely']
    both = client.ask('POST', path, asked)[1]['likely']
    assert alone != found['likely'] != both


def test_a_photograph_waits_for_the_warming_up_of_its_shape(
  colorizer, monkeypatch
):
  goes_on, begun = threading.Event(), threading.Event()
  draw, drawn = colorizer.draw, []

  def slow_draw(inputs, settings):
    drawn.append(inputs[0].grey_values.shape)
    begun.set()
    goes_on.wait(60)
    return draw(inputs, settings)

  monkeypatch.setattr(colorizer, 'draw', slow_draw)
  monkeypatch.setattr(studio, 'ASPECTS', studio.ASPECTS[:1])
  page = server.Server(studio.Studio(colorizer, 'tiny'), SITE)
  monkeypatch.setattr(server, 'QUIET_SECONDS', 0.0)
  warming = threading.Thread(target=page.warm_up)
  warming.start()
  with listening(page) as client:
    assert begun.wait(60)
    photo = client.open(tiny.images(1, 20, 20)[0])
    with client.asking(
      'POST',
      f'/photographs/{photo["id"]}/draw',
      json.dumps({'recipes': [RECIPE]}),
    ) as response:
      assert json.loads(response.readline()) == {'compiling': True}
      assert len(drawn) == 1  # it is compiled once
      goes_on.set()
      assert 'picture' in json.loads(response.readline())
  warming.join()


def test_the_likeliest_version_is_followed_by_the_most_different(
  client, its_studio
):
  photo = client.open(tiny.images(1, 20, 20, seed=7)[0])
  recipes = [RECIPE | {'sample': sample} for sample in range(5)]
  lines = client.draw(photo, recipes)
  status, order = client.ask(
    'POST',
    f'/photographs/{photo["id"]}/order',
    {'recipes': recipes},
  )
  assert status == 200 and sorted(order) == list(range(5))
  bits = [line['bits_per_dim'] for line in lines]
  assert order[0] == int(np.argmin(bits))
  sample_sets = list(its_studio.find(photo['id']).sample_sets.values())
  away = [
    np.linalg.norm(
      sample_set.chroma - sample_sets[order[0]].chroma, axis=-1
    ).mean()
    for sample_set in sample_sets
  ]
  assert order[1] == int(np.argmax(away))


@pytest.mark.parametrize('host', ['evil.example', 'evil.example:80', '', '::'])
def test_an_unknown_host_name_is_refused(client, host):
  status, answer = client.ask('GET', '/', Host=host)
  assert status == 403 and 'not a host name of' in answer['error']


@pytest.mark.parametrize(
  'host', ['localhost', '127.0.0.1:1', '[::1]:8000', 'mypc.LOCAL:8000']
)
def test_own_host_names_are_answered(client, host):
  assert client.ask('GET', '/', Host=host)[0] == 200


def test_a_refusal_names_the_remedy(client):
  _, answer = client.ask('GET', '/', Host='otherpc.local:8000')
  assert answer['error'] == (
    "'otherpc.local:8000' is not a host name of this app. If it is yours, "
    'start `pic-jax app --allow otherpc.local`.'
  )


def test_only_the_page_itself_may_ask(client):
  data = png(tiny.images(1, 20, 20)[0])
  for origin in (
    'http://evil.example',
    'null',
    'http://127.0.0.1:1',
    'http://[',
  ):
    status, answer = client.ask('POST', '/photographs', data, Origin=origin)
    assert status == 403
    assert answer['error'].startswith('Another site sent this request')
  own = f'http://127.0.0.1:{client.port}'
  assert client.ask('POST', '/photographs', data, Origin=own)[0] == 201


@pytest.mark.parametrize('host', ['127.0.0.1:8000', 'photos.example.org'])
def test_a_proxy_with_an_allowed_host_name_may_ask(client, host):
  data = png(tiny.images(1, 20, 20)[0])
  status, _ = client.ask(
    'POST',
    '/photographs',
    data,
    Host=host,
    Origin='https://photos.example.org',
  )
  assert status == 201


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
def test_a_hostile_file_gives_one_line(client, data, text):
  status, answer = client.ask('POST', '/photographs', data)
  assert status == 422 and text in answer['error']
  assert '\n' not in answer['error']


def test_no_body_is_longer_than_its_limit(client, monkeypatch):
  monkeypatch.setattr(studio, 'MAX_BYTES', 1000)
  monkeypatch.setattr(boundary, 'MAX_REQUEST_BYTES', 1000)
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  draw = f'/photographs/{photo["id"]}/draw'
  for path in ('/photographs', draw):
    status, answer = client.ask('POST', path, b'0' * 1001)
    assert status == 413 and answer['error'].startswith('More than 1,000 bytes')


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
def test_nonsense_is_refused_in_one_line(client, asked):
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
def test_nothing_impossible_is_saved(client, changes):
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  status, answer = client.save(photo, **{'recipes': [RECIPE]} | changes)
  assert status == 400 and '\n' not in answer['error']


def test_a_missing_path_or_photograph_is_reported(client):
  assert client.ask('GET', '/passwd')[0] == 404
  assert client.ask('GET', '/photographs')[0] == 404
  status, answer = client.ask('GET', '/photographs/unknown')
  assert status == 404 and 'open it again' in answer['error']


def test_the_oldest_photographs_are_forgotten(client, monkeypatch):
  monkeypatch.setattr(studio, 'MAX_PHOTOGRAPHS', 2)
  first, second = (client.open(tiny.images(1, 20, 20)[0]) for _ in range(2))
  # Now the second was used longest ago.
  client.ask('GET', f'/photographs/{first["id"]}')
  third = client.open(tiny.images(1, 20, 20)[0])
  answers = [
    client.ask('GET', f'/photographs/{photo["id"]}')[0]
    for photo in (first, second, third)
  ]
  assert answers == [200, 404, 200]


def test_what_nobody_waits_for_is_not_drawn(client, its_studio):
  photo = client.open(tiny.images(1, 20, 20, seed=3)[0])
  recipes = [RECIPE | {'sample': sample} for sample in range(64)]
  with client.asking(
    'POST',
    f'/photographs/{photo["id"]}/draw',
    json.dumps({'recipes': recipes}),
  ) as response:
    response.readline()
  # This one comes after all that was still to be drawn.
  assert len(client.draw(photo, [RECIPE | {'sample': 99}])) == 1
  drawn = len(its_studio.find(photo['id']).sample_sets)
  client.draw(photo, [RECIPE | {'sample': 100}])
  assert len(its_studio.find(photo['id']).sample_sets) == drawn + 1 < 64


def test_two_windows_do_not_disturb_each_other(client):
  photos = [client.open(tiny.images(1, 20, 26, seed)[0]) for seed in (1, 2)]
  recipes = [RECIPE | {'sample': sample} for sample in range(4)]
  alone = [client.draw(photo, recipes) for photo in photos]
  again = [client.open(tiny.images(1, 20, 26, seed)[0]) for seed in (1, 2)]
  together = [None, None]

  def window(index):
    together[index] = client.draw(again[index], recipes)

  threads = [threading.Thread(target=window, args=(i,)) for i in range(2)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert together == alone and alone[0] != alone[1]


def test_the_page_loads_nothing_from_elsewhere(client):
  for name in ('', *server.FILES):
    with client.asking('GET', f'/{name}') as response:
      text = response.read().decode('latin-1')
      assert response.status == 200
      policy = response.headers['content-security-policy']
    assert "default-src 'none'" in policy and 'http' not in policy
    if not name.endswith('.jpg'):
      assert not re.findall(r'https?:|[\'"(]//', text), name
  names = {path.name for path in server.HERE.iterdir() if path.is_file()}
  assert names == {*server.FILES} | {name for name in names if '.py' in name}


def begin_upload(client, beginning):
  """Sends the beginning of a file of 1000 bytes; returns the connection."""
  connection = http.client.HTTPConnection('127.0.0.1', client.port, 120)
  connection.putrequest('POST', '/photographs')
  connection.putheader('Content-Length', '1000')
  connection.endheaders(beginning)
  return connection


def test_a_client_that_leaves_during_an_upload_disturbs_nobody(client, capfd):
  begin_upload(client, b'the beginning').close()
  assert client.ask('POST', '/photographs', b'')[0] == 422
  assert 'Traceback' not in capfd.readouterr().err


def test_a_client_that_falls_silent_during_an_upload_keeps_nobody_waiting(
  client, monkeypatch
):
  monkeypatch.setattr(boundary, 'SILENT_SECONDS', 0.2)
  silent = [
    begin_upload(client, b'the beginning') for _ in range(server.MAX_UPLOADS)
  ]
  assert client.ask('POST', '/photographs', b'')[0] == 422
  for connection in silent:
    answer = connection.getresponse()
    assert answer.status == 408 and b'send it again' in answer.read()
    connection.close()


def test_a_client_that_sends_very_slowly_keeps_nobody_waiting(
  client, monkeypatch
):
  monkeypatch.setattr(boundary, 'SILENT_SECONDS', 1.0)
  slow = [begin_upload(client, b'x') for _ in range(server.MAX_UPLOADS)]
  stop = threading.Event()

  def drip():
    while not stop.wait(0.2):
      for connection in slow:
        with contextlib.suppress(OSError):
          connection.send(b'x')

  thread = threading.Thread(target=drip)
  thread.start()
  start = time.monotonic()
  try:
    assert client.ask('POST', '/photographs', b'')[0] == 422
    assert time.monotonic() - start < 60
  finally:
    stop.set()
    thread.join()
    for connection in slow:
      connection.close()


def test_a_picture_too_large_for_its_format_is_refused(client, monkeypatch):
  monkeypatch.setitem(encoding.MAX_SIDES, 'jpg', 39)
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  assert client.save(photo, [RECIPE], format='jpg')[0] == 200
  status, answer = client.save(photo, [RECIPE], format='jpg', beside=True)
  assert status == 400 and 'at most 39 pixels' in answer['error']
  assert client.save(photo, [RECIPE], beside=True)[0] == 200


def test_a_host_name_may_have_capitals():
  site = boundary.Site('MyBox')
  assert site.has('mybox:8000') and site.has('MyBox')
  assert not site.has('otherbox')


def test_a_pin_outside_the_photograph_is_reported(client):
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  recipe = RECIPE | {'pins': [pin(20, 3, '#000000')]}
  (line,) = client.draw(photo, [recipe])
  assert 'outside' in line['error']


@pytest.mark.slow
def test_a_warm_server_compiles_nothing_for_the_first_photograph_and_pin(
  monkeypatch, caplog
):
  jax.clear_caches()  # other tests compiled the same programs
  its_studio = studio.Studio(colorize.Colorizer(*tiny.hinted_model()), 'tiny')
  monkeypatch.setattr(studio, 'ASPECTS', ((2, 3),))
  # The context manager `jax.log_compiles` would not reach the server's threads.
  jax.config.update('jax_log_compiles', True)
  try:
    its_studio.warm_up(lambda done, total: None)
    assert num_compilations(caplog) > 0
    caplog.clear()
    with listening(server.Server(its_studio, SITE)) as client:
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
  return sum('Compiling' in x.getMessage() for x in caplog.records)


@pytest.mark.slow
def test_no_photograph_needs_a_shape_that_was_not_compiled(monkeypatch):
  its_colorizer = colorize.Colorizer(*tiny.shaken_model())
  compiled = set()
  really_draw = its_colorizer.draw

  def draw(greys, settings):
    compiled.add((greys[0].grey_values.shape, len(settings.numbers)))
    return really_draw(greys, settings)

  monkeypatch.setattr(its_colorizer, 'draw', draw)
  studio.Studio(its_colorizer, 'tiny').warm_up(lambda done, total: None)
  recipe = sample_recipe.Recipe.from_json(RECIPE | {'sample': 5})
  for width in (1, 30, 90, 100, 101, 130, 150, 160, 199, 210, 300, 500, 1000):
    blank = np.zeros((100, width), np.uint8)
    for rgb in (blank, blank.T):
      shape = its_colorizer.to_network_size(rgb).grey_values.shape
      assert (shape, len(recipe.settings().numbers)) in compiled
  assert len(compiled) == 7
