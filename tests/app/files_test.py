"""Opening of photographs; progress of compilation, touch and zoom."""

import time

import numpy as np
import pytest
from PIL import Image

from tests.app import browser

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]


def photograph_name(page):
  return page.state('state.name')


def test_the_start_page_says_what_the_app_does_and_offers_examples(page):
  lead = page.find('.lead')[0]
  assert lead.is_displayed() and 'black-and-white' in lead.text
  assert len(page.find('#examples img')) == 2
  page.click('[data-example]')
  page.wait_for_samples(4)
  assert photograph_name(page) == 'example-cat.jpg'
  assert len(page.find('h1')) == 1


def test_the_page_says_at_once_that_it_opens_a_photograph(
  page, photograph, pause_server
):
  with pause_server():
    page.upload(photograph)
    page.wait(lambda: page.message() == 'Opening my cat.png …', 1)
  page.wait_for_samples(4)
  assert page.message() == ''


def test_the_page_counts_the_seconds_of_a_compilation(opened):
  page = opened
  page.driver.execute_async_script(
    'const done = arguments[0];'
    'import("/state.js").then(({update}) => { update({'
    '  compilingSince: performance.now() - 7000,'
    '  progress: {done: 0, total: 4}}); done(); })'
  )
  working = page.find('#working')[0]
  page.wait(lambda: 'once: 7 s' in working.text)
  page.wait(lambda: 'once: 8 s' in working.text)
  assert page.find('#working')[0].is_displayed()


def test_a_dropped_folder_gives_a_strip_of_its_photographs(page, photographs):
  page.drop(photographs[0].parent)
  page.wait_for_samples(4)
  assert len(page.find('#strip button')) == 3
  assert '3 photographs' in page.message()
  page.click('#strip button:nth-child(3)')
  third = page.find('#strip button')[2].get_attribute('title')
  page.wait(lambda: photograph_name(page) == third)
  page.wait_for_samples(4)
  current = page.find('#strip [aria-current]')
  assert [button.get_attribute('title') for button in current] == [third]


def test_a_folder_without_photographs_is_reported(page, tmp_path):
  (tmp_path / 'letters').mkdir()
  (tmp_path / 'letters/a.txt').write_text('no photograph')
  page.drop(tmp_path / 'letters')
  page.wait(lambda: 'No photographs in the folder letters' in page.message())
  page.drop(tmp_path / 'letters/a.txt')
  page.wait(lambda: page.message().startswith('a.txt: '))
  assert not page.find('.sample')
  page.read_console()  # discards the server's error for a.txt


def test_several_dropped_files_are_all_offered_and_counted(page, photographs):
  page.drop(photographs[1], photographs[0])
  page.wait_for_samples(4)
  assert photograph_name(page) == 'cup.png'
  assert '2 photographs' in page.message()
  assert len(page.find('#strip button')) == 2


def test_the_photograph_that_was_chosen_last_is_shown(
  page, photograph, tmp_path
):
  large = tmp_path / 'first.png'
  noise = np.random.default_rng(0).integers(0, 255, (2500, 3500), np.uint8)
  Image.fromarray(noise).save(large)
  page.upload(large)
  page.upload(photograph)
  page.wait_for_samples(4)
  assert photograph_name(page) == 'my cat.png'
  time.sleep(1.5)  # the large photograph might arrive late
  assert photograph_name(page) == 'my cat.png'
  assert page.numbers() == [0, 1, 2, 3]


def test_a_finger_scrolls_the_page_and_does_not_move_the_divider(
  page, photograph
):
  page.resize(390, 844)
  try:
    page.upload(photograph)
    page.wait_for_samples(4)
    page.driver.execute_cdp_cmd(
      'Emulation.setTouchEmulationEnabled', {'enabled': True}
    )
    divider = page.find('#divider')[0]
    before = divider.get_attribute('style')

    def touch(kind, *points):
      page.driver.execute_cdp_cmd(
        'Input.dispatchTouchEvent',
        {'type': kind, 'touchPoints': [{'x': x, 'y': y} for x, y in points]},
      )

    box = page.find('#stage')[0].rect
    x, y = box['x'] + 0.8 * box['width'], box['y'] + 0.7 * box['height']
    touch('touchStart', (x, y))
    for step in range(1, 13):
      touch('touchMove', (x - step, y - 15 * step))
    touch('touchEnd')
    page.wait(lambda: page.driver.execute_script('return scrollY') > 20)
    assert divider.get_attribute('style') == before
    assert not page.find('#chooser')[0].is_displayed()
  finally:
    page.driver.execute_cdp_cmd(
      'Emulation.setTouchEmulationEnabled', {'enabled': False}
    )
    page.resize(1100, 760)


def test_the_visible_part_of_a_zoomed_picture_is_rendered_again(page, tmp_path):
  stripes = np.zeros((1300, 2000), np.uint8)
  stripes[:, ::2] = 200  # too fine for the reduced picture
  path = tmp_path / 'stripes.png'
  Image.fromarray(stripes).save(path)
  page.upload(path)
  page.wait_for_samples(4)
  for _ in range(3):
    page.click('#zoom-in')

  def width_of(selector):
    """Returns the width of an image in pixels, or None if it is hidden."""
    return page.driver.execute_script(
      'const image = document.querySelector(arguments[0]);'
      'return image.hidden ? null : image.naturalWidth',
      selector,
    )

  page.wait(lambda: width_of('#exact-crop') and width_of('#grey-crop'))
  assert width_of('#exact-crop') == width_of('#grey-crop') < 1500
  page.wait(lambda: page.find('#exact-crop')[0].is_displayed())
  left = page.find('#exact-crop')[0].value_of_css_property('left')
  assert left != '0px'
  page.driver.execute_script(
    'document.getElementById("zoom-out").click();'
    'document.getElementById("zoom-out").click();'
    'document.getElementById("zoom-out").click()'
  )
  page.wait(lambda: width_of('#exact-crop') is None)
