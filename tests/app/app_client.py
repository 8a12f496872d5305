"""Runs the server of the app in this process, and sends requests to it."""

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
  """Returns a pin as the page sends it."""
  return {'x': x, 'y': y, 'color': color, 'size': size}


class Client:
  """Sends requests to a server, each over a new connection."""

  def __init__(self, port):
    self.port = port

  @contextlib.contextmanager
  def request(self, method, path, body=None, **headers):
    """Sends a request, and yields the response before its body is read."""
    connection = http.client.HTTPConnection('127.0.0.1', self.port, 120)
    try:
      connection.request(method, path, body, headers)
      yield connection.getresponse()
    finally:
      connection.close()

  def ask(self, method, path, body=None, **headers):
    """Sends a request; returns the status and the body, decoded if JSON."""
    if isinstance(body, dict | list):
      body = json.dumps(body)
    with self.request(method, path, body, **headers) as response:
      data = response.read()
      is_json = response.headers['content-type'] == 'application/json'
      return response.status, json.loads(data) if is_json else data

  def open(self, rgb):
    """Uploads an image [H, W, 3] uint8; returns the facts about it."""
    status, facts = self.ask('POST', '/photographs', png(rgb))
    assert status == 201
    return facts

  def start_drawing(self, photo, recipes):
    """Asks for samples; yields the response, one JSON line for each event."""
    path = f'/photographs/{photo["id"]}/draw'
    return self.request('POST', path, json.dumps({'recipes': recipes}))

  def draw(self, photo, recipes):
    """Draws samples; returns their JSON lines, not the one about compiling."""
    status, lines = self.ask(
      'POST', f'/photographs/{photo["id"]}/draw', {'recipes': recipes}
    )
    assert status == 200
    parsed = [json.loads(line) for line in lines.splitlines()]
    return [line for line in parsed if 'compiling' not in line]

  def view(self, photo, **asked):
    """Requests a picture for the screen; returns its pixels."""
    path = f'/photographs/{photo["id"]}/view'
    status, data = self.ask('POST', path, asked)
    assert status == 200
    return pixels(data)

  def save(self, photo, recipes, **changes):
    """Saves versions as PNG; `changes` replace fields of the request.

    Returns:
      Status, and contents of the file, or the error as a JSON object.
    """
    asked = {'recipes': recipes, 'adjustments': NEUTRAL, 'format': 'png'}
    path = f'/photographs/{photo["id"]}/save'
    return self.ask('POST', path, asked | {'beside': False} | changes)


@contextlib.contextmanager
def listening(web_app):
  """Serves a `server.Server` on a free port, and yields a client of it."""
  with serve.listen('127.0.0.1', 0) as listener:
    http_server = serve.build_server(web_app)
    thread = threading.Thread(target=http_server.run, args=([listener],))
    thread.start()
    try:
      yield Client(listener.getsockname()[1])
    finally:  # The thread would keep pytest from ending.
      http_server.should_exit = True
      thread.join()


def serving(the_studio):
  """Serves a studio, see `listening`."""
  return listening(server.Server(the_studio, SITE))


def png(rgb):
  file = io.BytesIO()
  Image.fromarray(rgb).save(file, 'PNG')
  return file.getvalue()


def pixels(data):
  return np.asarray(Image.open(io.BytesIO(data)))
