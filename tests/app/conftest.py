"""Servers, a browser and photographs that the tests of the app share."""

import contextlib
import os
import signal

import pytest
from PIL import Image

from pic_jax.app import studio
from pic_jax.photos import colorize
from pic_jax.saved import weights_file
from tests import tiny
from tests.app import app_client, browser


@pytest.fixture(scope='session')
def colorizer():
  return colorize.Colorizer(*tiny.hinted_model(), 'digest')


@pytest.fixture(scope='session')
def tiny_studio(colorizer):
  return studio.Studio(colorizer, 'tiny')


@pytest.fixture(scope='session')
def client(tiny_studio):
  with app_client.serving(tiny_studio) as client:
    yield client


@pytest.fixture(scope='session')
def address_and_pid(tmp_path_factory):
  """Address and process ID of a server with a tiny model."""
  path = tmp_path_factory.mktemp('model') / 'tiny.safetensors'
  weights_file.save(path, *tiny.hinted_model(), step=0)
  with browser.serving(f'--model={path}') as address_and_pid:
    yield address_and_pid


@pytest.fixture(scope='session')
def address(address_and_pid):
  return address_and_pid[0]


@contextlib.contextmanager
def paused(pid):
  """Pauses a process while a block runs."""
  os.kill(pid, signal.SIGSTOP)
  try:
    yield
  finally:
    os.kill(pid, signal.SIGCONT)


@pytest.fixture
def pause_server(address_and_pid):
  """A function that pauses the server during `with pause_server():`."""
  return lambda: paused(address_and_pid[1])


@pytest.fixture(scope='session')
def shared_page(address):
  with browser.showing(address) as page:
    yield page


@pytest.fixture
def page(shared_page, address):
  """The page without a photograph, in a browser that has stored nothing."""
  shared_page.delete_downloads()
  shared_page.driver.execute_script(
    'localStorage.clear(); sessionStorage.clear()'
  )
  # Visits another page first, because a reload would restore the last step.
  shared_page.driver.get('about:blank')
  shared_page.driver.get(address)
  shared_page.wait(lambda: shared_page.state('state.model !== null'))
  yield shared_page
  assert shared_page.read_console() == []


@pytest.fixture(scope='session')
def photographs(tmp_path_factory):
  """Paths of three photographs of 150 x 100 pixels, small to save time."""
  folder = tmp_path_factory.mktemp('photographs')
  paths = []
  for name, source in (
    ('my cat.png', 'chelsea.png'),
    ('cup.png', 'coffee.png'),
    ('-3.png', 'chelsea.png'),
  ):
    with Image.open(browser.ROOT / 'photos' / source) as image:
      small = image.convert('L').resize((150, 100))
    if name == '-3.png':
      small = small.rotate(180)
    paths.append(folder / name)
    small.save(paths[-1])
  return paths


@pytest.fixture
def photograph(photographs):
  """Path of 'my cat.png', a photograph of 150 x 100 pixels."""
  return photographs[0]


@pytest.fixture
def opened(page, photograph):
  """The page with four versions of `photograph`."""
  page.upload(photograph)
  page.wait_for_samples(4)
  return page
