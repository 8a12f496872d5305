"""Samples: pins, order, and requests while programs are compiled."""

import base64
import json
import threading

import numpy as np

from pic_jax.app import opened_photograph, server, studio
from tests import tiny
from tests.app.app_client import RECIPE, SITE, listening, pin, pixels, serving


def test_pins_have_the_effect_of_hints(client, colorizer, monkeypatch):
  # Positions of pins are in pixels of the photograph, not of smaller copies.
  for name in ('SCREEN_SIDE', 'SMALL_SIDE'):
    monkeypatch.setattr(opened_photograph, name, 16)
  rgb = tiny.images(1, 21, 34)[0]
  photo = client.open(rgb)
  pins = [pin(3, 4, '#c81e28'), pin(33, 20, '#1e28c8')]
  recipe = RECIPE | {'sample': 2, 'pins': pins}
  (line,) = client.draw(photo, [recipe])
  assert pixels(base64.b64decode(line['picture'])).shape == (10, 16, 3)
  status, data = client.save(photo, [recipe])
  hints = [(3, 4, (200, 30, 40)), (33, 20, (30, 40, 200))]
  (wanted,) = colorizer(rgb, hints=hints, samples=[2])
  np.testing.assert_array_equal(pixels(data), wanted)
  assert (colorizer(rgb, samples=[2])[0] != wanted).any()


def test_a_palette_does_not_wait_for_the_compiler(colorizer, monkeypatch):
  may_continue, has_begun = threading.Event(), threading.Event()
  expect = colorizer.expect

  def slow_expect(network_input):
    has_begun.set()
    may_continue.wait(60)
    return expect(network_input)

  monkeypatch.setattr(colorizer, 'expect', slow_expect)
  with serving(studio.Studio(colorizer, 'tiny')) as client:
    photo = client.open(tiny.images(1, 20, 26)[0])
    client.draw(photo, [RECIPE])
    path = f'/photographs/{photo["id"]}/palette'
    asked = {'x': 9, 'y': 12, 'pins': [], 'recipes': [RECIPE]}
    status, found = client.ask('POST', path, asked)
    assert status == 200 and has_begun.wait(60) and not may_continue.is_set()
    # The one sample alone determines this palette.
    assert found['likely'][0]['share'] > 0.5
    may_continue.set()
    predicted = client.ask('POST', path, asked | {'recipes': []})[1]['likely']
    combined = client.ask('POST', path, asked)[1]['likely']
    assert predicted != found['likely'] != combined


def test_a_photograph_waits_if_its_shape_is_already_being_compiled(
  colorizer, monkeypatch
):
  may_continue, has_begun = threading.Event(), threading.Event()
  draw, drawn_shapes = colorizer.draw, []

  def slow_draw(inputs, settings):
    drawn_shapes.append(inputs[0].grey_values.shape)
    has_begun.set()
    may_continue.wait(60)
    return draw(inputs, settings)

  monkeypatch.setattr(colorizer, 'draw', slow_draw)
  monkeypatch.setattr(studio, 'ASPECTS', studio.ASPECTS[:1])
  web_app = server.Server(studio.Studio(colorizer, 'tiny'), SITE)
  monkeypatch.setattr(server, 'QUIET_SECONDS', 0.0)
  warming = threading.Thread(target=web_app.warm_up)
  warming.start()
  with listening(web_app) as client:
    assert has_begun.wait(60)
    photo = client.open(tiny.images(1, 20, 20)[0])
    with client.start_drawing(photo, [RECIPE]) as response:
      assert json.loads(response.readline()) == {'compiling': True}
      assert len(drawn_shapes) == 1  # the program is compiled once
      may_continue.set()
      assert 'picture' in json.loads(response.readline())
  warming.join()


def test_the_likeliest_version_is_followed_by_the_most_different(
  client, tiny_studio
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
  sample_sets = list(tiny_studio.find(photo['id']).sample_sets.values())
  differences = [
    np.linalg.norm(
      sample_set.chroma - sample_sets[order[0]].chroma, axis=-1
    ).mean()
    for sample_set in sample_sets
  ]
  assert order[1] == int(np.argmax(differences))
