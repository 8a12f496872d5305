"""Pins, keys, axe and saving in Firefox; all else is tested in Chromium."""

import time

import pytest
from PIL import Image

from tests.app import browser
from tests.app.keyboard_test import (
  DELETE,
  ENTER,
  RIGHT,
  axe_violations,
  focus,
)
from tests.app.undo_test import CTRL, SHIFT

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    bool(browser.missing('firefox')), reason=browser.missing('firefox')
  ),
]


@pytest.fixture(scope='module')
def opened(address, photographs):
  """The page in Firefox, with four versions of a photograph."""
  with browser.showing(address, kind=browser.FirefoxPage) as page:
    page.wait(lambda: page.find('#model')[0].text)
    page.upload(photographs[0])
    page.wait_for_samples(4)
    yield page


def test_a_pin_is_set_undone_and_redone(opened):
  before = opened.pictures()
  opened.open_pin(0.3, 0.6)
  opened.click('.swatch')
  opened.wait(lambda: opened.find('.pin'))
  opened.wait_for_samples(4)
  after = opened.pictures()
  assert all(after[number] != before[number] for number in after)
  opened.chord(CTRL, 'z')
  opened.wait(lambda: not opened.find('.pin'))
  opened.wait_for_samples(4)
  assert opened.pictures() == before
  opened.chord(CTRL, SHIFT, 'z')
  opened.wait(lambda: opened.find('.pin'))
  opened.wait_for_samples(4)
  time.sleep(1)  # the browser's history is written with a delay
  opened.driver.back()
  opened.wait(lambda: not opened.find('.pin'))
  opened.wait_for_samples(4)
  opened.driver.forward()
  opened.wait(lambda: opened.find('.pin'))
  opened.wait_for_samples(4)
  assert opened.pictures() == after


def test_pins_are_set_and_removed_by_keys(opened):
  num_pins = len(opened.find('.pin'))
  focus(opened, '#crosshair')
  opened.press(RIGHT, RIGHT, ENTER)
  opened.wait(lambda: opened.focused() == 'swatch')
  opened.press(ENTER)
  opened.wait(lambda: len(opened.find('.pin')) == num_pins + 1)
  opened.wait(lambda: opened.focused().startswith('pin'))
  opened.press(DELETE)
  opened.wait(lambda: len(opened.find('.pin')) == num_pins)
  assert opened.focused() != 'BODY'


def test_axe_finds_no_violations(opened):
  assert axe_violations(opened) == []


def test_the_picture_is_saved_at_its_own_size(opened):
  opened.click('#save-menu > summary')
  opened.click('#save-png')
  opened.wait(lambda: list(opened.downloads.glob('*.png')))
  (path,) = opened.downloads.glob('*.png')
  opened.wait(lambda: not list(opened.downloads.glob('*.part')))
  with Image.open(path) as image:
    assert image.size == (150, 100)
