"""Servers and one browser for all tests of the app."""

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
def its_studio(colorizer):
  return studio.Studio(colorizer, 'tiny')


@pytest.fixture(scope='session')
def client(its_studio):
  with app_client.serving(its_studio) as client:
    yield client


@pytest.fixture(scope='session')
def served(tmp_path_factory):
  """Address and process number of a server with a tiny model."""
  path = tmp_path_factory.mktemp('model') / 'tiny.safetensors'
  weights_file.save(path, *tiny.hinted_model(), step=0)
  with browser.serving(f'--model={path}') as served:
    yield served


@pytest.fixture(scope='session')
def address(served):
  return served[0]


@contextlib.contextmanager
def asleep(pid):
  """Stops a process inside a block, so that it answers nothing."""
  os.kill(pid, signal.SIGSTOP)
  try:
    yield
  finally:
    os.kill(pid, signal.SIGCONT)


@pytest.fixture
def asleep_server(served):
  """A function for `with`: in the block, the server answers nothing."""
  return lambda: asleep(served[1])


@pytest.fixture(scope='session')
def one_page(address):
  with browser.showing(address) as page:
    yield page


@pytest.fixture
def page(one_page, address):
  """The page without a photograph; nothing is saved in the browser."""
  one_page.forget_downloads()
  one_page.driver.execute_script('localStorage.clear(); sessionStorage.clear()')
  one_page.driver.get('about:blank')  # no entry of the tab holds a step
  one_page.driver.get(address)
  one_page.wait(lambda: one_page.state('state.model !== null'))
  yield one_page
  assert one_page.complaints() == []


@pytest.fixture(scope='session')
def photographs(tmp_path_factory):
  """Paths of three photographs, smaller than a screen to save time."""
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
  """A file of 150 x 100 pixels, 'my cat.png'."""
  return photographs[0]


@pytest.fixture
def opened(page, photograph):
  """The page with four versions of `photograph`."""
  page.upload(photograph)
  page.wait_for_samples(4)
  return page
