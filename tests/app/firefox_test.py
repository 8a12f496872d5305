"""First steps on the page, in Firefox; the rest is tested in Chromium."""

import time

import pytest
from PIL import Image

from tests.app import browser
from tests.app.keyboard_test import (
  DELETE,
  ENTER,
  RIGHT,
  complaints_of_axe,
  focus,
)

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    bool(browser.missing('firefox')), reason=browser.missing('firefox')
  ),
]


@pytest.fixture(scope='module')
def opened(address, photograph_of_module):
  """The page in Firefox, with four versions of a photograph."""
  with browser.showing(address, kind=browser.FirefoxPage) as page:
    page.wait(lambda: page.find('#model')[0].text)
    page.upload(photograph_of_module)
    page.wait_for_samples(4)
    yield page


@pytest.fixture(scope='module')
def photograph_of_module(photographs):
  return photographs[0]


def test_a_pin_is_set_undone_and_comes_back(opened):
  before = opened.sources()
  opened.open_pin(0.3, 0.6)
  opened.click('.swatch')
  opened.wait(lambda: opened.find('.pin'))
  opened.wait_for_samples(4)
  after = opened.sources()
  assert all(after[number] != before[number] for number in after)
  opened.chord('\ue009', 'z')
  opened.wait(lambda: not opened.find('.pin'))
  opened.wait_for_samples(4)
  assert opened.sources() == before
  opened.chord('\ue009', '\ue008', 'z')
  opened.wait(lambda: opened.find('.pin'))
  opened.wait_for_samples(4)
  time.sleep(1)  # entries of the history are written at most twice a second
  opened.driver.back()
  opened.wait(lambda: not opened.find('.pin'))
  opened.wait_for_samples(4)
  opened.driver.forward()
  opened.wait(lambda: opened.find('.pin'))
  opened.wait_for_samples(4)
  assert opened.sources() == after


def test_pins_are_set_and_removed_by_keys(opened):
  count = len(opened.find('.pin'))
  focus(opened, '#crosshair')
  opened.press(RIGHT, RIGHT, ENTER)
  opened.wait(lambda: opened.focused() == 'swatch')
  opened.press(ENTER)
  opened.wait(lambda: len(opened.find('.pin')) == count + 1)
  opened.wait(lambda: opened.focused().startswith('pin'))
  opened.press(DELETE)
  opened.wait(lambda: len(opened.find('.pin')) == count)
  assert opened.focused() != 'BODY'


def test_axe_finds_nothing(opened):
  assert complaints_of_axe(opened) == []


def test_the_picture_is_saved_at_its_own_size(opened):
  opened.click('#save-menu > summary')
  opened.click('#save-png')
  opened.wait(lambda: list(opened.downloads.glob('*.png')))
  (path,) = opened.downloads.glob('*.png')
  opened.wait(lambda: not list(opened.downloads.glob('*.part')))
  with Image.open(path) as image:
    assert image.size == (150, 100)
