"""Refusal of requests by host name, origin, length and speed."""

import contextlib
import http.client
import threading
import time

import numpy as np
import pytest

from pic_jax.app import boundary, server, studio
from tests import tiny
from tests.app.app_client import png


@pytest.mark.parametrize('host', ['evil.example', 'evil.example:80', '', '::'])
def test_an_unknown_host_name_is_refused(client, host):
  status, answer = client.ask('GET', '/', Host=host)
  assert status == 403 and 'not a host name of' in answer['error']


@pytest.mark.parametrize(
  'host', ['localhost', '127.0.0.1:1', '[::1]:8000', 'mypc.LOCAL:8000']
)
def test_requests_to_own_host_names_are_answered(client, host):
  assert client.ask('GET', '/', Host=host)[0] == 200


def test_a_refusal_names_the_remedy(client):
  _, answer = client.ask('GET', '/', Host='otherpc.local:8000')
  assert answer['error'] == (
    "'otherpc.local:8000' is not a host name of this app. If it is yours, "
    'start `pic-jax app --allow otherpc.local`.'
  )


def test_only_the_page_itself_may_send_requests(client):
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
def test_requests_through_an_allowed_proxy_are_answered(client, host):
  data = png(tiny.images(1, 20, 20)[0])
  status, _ = client.ask(
    'POST',
    '/photographs',
    data,
    Host=host,
    Origin='https://photos.example.org',
  )
  assert status == 201


def test_bodies_longer_than_their_limit_are_refused(client, monkeypatch):
  monkeypatch.setattr(studio, 'MAX_BYTES', 1000)
  monkeypatch.setattr(boundary, 'MAX_REQUEST_BYTES', 1000)
  photo = client.open(np.zeros((20, 20, 3), np.uint8))
  draw = f'/photographs/{photo["id"]}/draw'
  for path in ('/photographs', draw):
    status, answer = client.ask('POST', path, b'0' * 1001)
    assert status == 413 and answer['error'].startswith('More than 1,000 bytes')


def begin_upload(client, beginning):
  """Sends the beginning of a file of 1000 bytes; returns the connection."""
  connection = http.client.HTTPConnection('127.0.0.1', client.port, 120)
  connection.putrequest('POST', '/photographs')
  connection.putheader('Content-Length', '1000')
  connection.endheaders(beginning)
  return connection


def test_a_disconnect_during_an_upload_is_harmless(client, capfd):
  begin_upload(client, b'the beginning').close()
  # The server reads and refuses this empty file.
  assert client.ask('POST', '/photographs', b'')[0] == 422
  assert 'Traceback' not in capfd.readouterr().err


def test_stalled_uploads_time_out_and_do_not_block_others(client, monkeypatch):
  monkeypatch.setattr(boundary, 'SILENT_SECONDS', 0.2)
  stalled = [
    begin_upload(client, b'the beginning') for _ in range(server.MAX_UPLOADS)
  ]
  # The server reads and refuses this empty file after the stalled uploads end.
  assert client.ask('POST', '/photographs', b'')[0] == 422
  for connection in stalled:
    answer = connection.getresponse()
    assert answer.status == 408 and b'send it again' in answer.read()
    connection.close()


def test_slow_uploads_do_not_block_others(client, monkeypatch):
  monkeypatch.setattr(boundary, 'SILENT_SECONDS', 1.0)
  connections = [begin_upload(client, b'x') for _ in range(server.MAX_UPLOADS)]
  stop = threading.Event()

  def send_slowly():
    while not stop.wait(0.2):
      for connection in connections:
        with contextlib.suppress(OSError):
          connection.send(b'x')

  thread = threading.Thread(target=send_slowly)
  thread.start()
  start = time.monotonic()
  try:
    # The server reads and refuses this empty file after the slow uploads end.
    assert client.ask('POST', '/photographs', b'')[0] == 422
    assert time.monotonic() - start < 60
  finally:
    stop.set()
    thread.join()
    for connection in connections:
      connection.close()


def test_a_host_name_may_have_capitals():
  site = boundary.Site('MyBox')
  assert site.has('mybox:8000') and site.has('MyBox')
  assert not site.has('otherbox')
