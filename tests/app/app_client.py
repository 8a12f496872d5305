"""A server of the app without a browser, and a client that asks it."""

import contextlib
import http.client
import io
import json
import threading

import numpy as np
from PIL import Image

from pic_jax.app import boundary, serve, server

RECIPE = {'seed': 0, 'sample': 0, 'temperature': 1.0, 'pins': []}
NEUTRAL = {'saturation': 1.0, 'warmth': 0.0, 'tint': 0.0, 'strength': 1.0}
SITE = boundary.Site('127.0.0.1', ('MyPC.local', 'photos.example.org'))


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


def png(rgb):
  file = io.BytesIO()
  Image.fromarray(rgb).save(file, 'PNG')
  return file.getvalue()


def pixels(data):
  return np.asarray(Image.open(io.BytesIO(data)))
