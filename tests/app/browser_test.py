"""Versions, pins, adjustments and saving on the page, in Chromium.

The server has a tiny model that reads hints.
"""

import functools
import http.server
import shlex
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests import running
from tests.app import browser

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]


def set_value(page, name, value, *events):
  """Sets a slider, and sends events to it, by default both.

  A browser sends 'input' while a user drags the slider, and 'change' when the
  user lets go of it.
  """
  for event in events or ('input', 'change'):
    page.driver.execute_script(
      f'const slider = document.getElementById("{name}");'
      f'slider.value = {value}; slider.dispatchEvent(new Event("{event}"))'
    )


def drag(page, element, right, down):
  """Drags an element by distances in pixels."""
  from selenium.webdriver import ActionChains

  actions = ActionChains(page.driver, duration=20)
  actions.drag_and_drop_by_offset(element, right, down).perform()


def pin(page, x, y):
  """Sets a pin of the likeliest colour on a pixel of `photograph`.

  Returns:
    The colour, '#rrggbb'.
  """
  assert page.find('#sheet')[0].rect['width'] > 3 * 150, (
    'the picture is too small on the screen for a click to hit this pixel'
  )
  page.open_pin((x + 0.5) / 150, (y + 0.5) / 100)
  colour = page.find('.swatch')[0].get_attribute('data-color')
  page.click('.swatch')
  return colour


def pixels_of(page, selector):
  """Returns the RGB pixels of an image or canvas, [H, W, 3], 0..255."""
  size, values = page.driver.execute_script(
    'const [source, canvas] = [document.querySelector(arguments[0]),'
    ' document.createElement("canvas")];'
    'canvas.width = source.naturalWidth || source.width;'
    'canvas.height = source.naturalHeight || source.height;'
    'const context = canvas.getContext("2d");'
    'context.drawImage(source, 0, 0);'
    'const {width, height} = canvas;'
    'return [[height, width], [...context.getImageData(0, 0, width, height)'
    '.data]]',
    selector,
  )
  return np.reshape(values, (*size, 4))[..., :3]


def wait_for_exact(page):
  """Waits until the server's picture of the chosen version is shown."""
  page.wait(
    lambda: page.driver.execute_script(
      'const image = document.getElementById("exact");'
      'return !image.hidden && image.complete'
    )
  )


def test_four_versions_are_drawn_and_the_chosen_one_is_shown_large(opened):
  page = opened
  assert page.numbers() == [0, 1, 2, 3]
  assert len(set(page.pictures().values())) == 4
  assert '150 × 100' in page.find('#caption')[0].text
  wait_for_exact(page)
  first = pixels_of(page, '#exact')
  assert first.shape == (100, 150, 3)
  small = pixels_of(page, '.sample canvas')
  assert np.abs(first - small).mean() < 8  # both are JPEGs
  assert np.ptp(pixels_of(page, '#grey'), -1).max() <= 3
  page.click('.sample:nth-child(3) .pick')
  wait_for_exact(page)
  third = pixels_of(page, '#exact')
  assert np.abs(third - pixels_of(page, '.chosen canvas')).mean() < 8
  assert np.abs(third - first).mean() > 8


def test_labels_say_how_likely_versions_are_and_tooltips_show_bits(opened):
  words = [label.text for label in opened.find('.bits')]
  bits = [
    float(label.get_attribute('title').split()[0])
    for label in opened.find('.bits')
  ]
  assert words[int(np.argmin(bits))] == 'likely'
  assert words[int(np.argmax(bits))] == 'surprising'


def test_the_divider_uncovers_the_grey(opened):
  page = opened
  handle, divider = page.find('#divider span')[0], page.find('#divider')[0]

  def hidden_width():
    """Returns the hidden width of the colours, in pixels before zooming."""
    text = page.find('#after')[0].value_of_css_property('clip-path')
    return float(text.removesuffix('px)').split()[-1])

  before, left = hidden_width(), handle.rect['x']
  drag(page, handle, 150, 0)
  assert hidden_width() == pytest.approx(before + 150, abs=1)
  assert handle.rect['x'] == pytest.approx(left + 150, abs=1)
  percent = int(divider.get_attribute('aria-valuenow'))
  divider.send_keys('\ue014')  # the right arrow
  assert int(divider.get_attribute('aria-valuenow')) == percent + 5
  page.click('#zoom-in')
  assert page.find('#zoom-level')[0].text == '150 %'
  before, left = hidden_width(), page.find('#after')[0].rect['x']
  drag(page, page.find('#stage')[0], -40, 0)  # moves the zoomed picture
  assert page.find('#after')[0].rect['x'] == pytest.approx(left - 40)
  assert hidden_width() == pytest.approx(before + 40 / 1.5, abs=1)


def test_the_wheel_zooms_with_ctrl_or_in_a_zoomed_picture(opened):
  page = opened
  stage = page.find('#stage')[0]

  def wheel(ctrl):
    """Turns the wheel; returns whether the page handled it, and the zoom."""
    return page.driver.execute_script(
      'const event = new WheelEvent("wheel", {deltaY: -200, ctrlKey: '
      'arguments[1], cancelable: true, bubbles: true});'
      'arguments[0].dispatchEvent(event);'
      'return [event.defaultPrevented, '
      'document.getElementById("zoom-level").textContent]',
      stage,
      ctrl,
    )

  assert wheel(False) == [False, '100 %']
  is_handled, zoom = wheel(True)
  assert is_handled and zoom != '100 %'
  assert wheel(False)[0]


def test_new_versions_replace_all_versions_without_a_star(opened):
  page = opened
  before = page.pictures()
  page.click('.sample:nth-child(2) .keep')
  page.click('#again')
  page.wait(lambda: page.numbers() == [1, 4, 5, 6])
  page.wait_for_samples(4)
  after = page.pictures()
  assert after[1] == before[1] and len(set(after.values())) == 4
  page.click('#more')
  page.wait_for_samples(8)
  assert page.numbers() == [1, 4, 5, 6, 7, 8, 9, 10]
  assert {n: page.pictures()[n] for n in after} == after


def test_more_versions_can_be_drawn_than_fit_in_one_request(
  opened, pause_server
):
  page = opened
  with pause_server():
    for _ in range(16):
      page.click('#more')
  page.wait_for_samples(68)
  assert page.numbers() == list(range(68))
  page.click('#order option[value=different]')
  page.wait(lambda: page.numbers()[:64] != list(range(64)))
  assert sorted(page.numbers()) == list(range(68))
  assert page.message() == ''


def test_versions_can_be_ordered(opened):
  page = opened
  page.click('#more')
  page.wait_for_samples(8)

  def bits():
    return [
      float(label.get_attribute('title').split()[0])
      for label in page.find('.bits')
    ]

  numbers, bits_as_drawn = page.numbers(), bits()
  assert bits_as_drawn != sorted(bits_as_drawn)
  page.click('#order option[value=likely]')
  page.wait(lambda: bits() == sorted(bits_as_drawn))
  page.click('#order option[value=surprising]')
  page.wait(lambda: bits() == sorted(bits_as_drawn)[::-1])
  page.click('#order option[value=different]')
  page.wait(
    lambda: bits()[0] == min(bits_as_drawn) and bits() != sorted(bits_as_drawn)
  )
  page.click('#order option[value=drawn]')
  page.wait(lambda: page.numbers() == numbers and bits() == bits_as_drawn)


def test_a_pin_from_the_palette_stays_in_all_later_versions(opened):
  page = opened
  before = page.pictures()
  page.click('.sample:nth-child(2) .keep')
  pin(page, 105, 40)
  page.wait_for_samples(4)
  after = page.pictures()
  # The pin changes all samples except number 1, which has a star.
  assert [after[n] == before[n] for n in range(4)] == [
    False,
    True,
    False,
    False,
  ]
  page.click('#again')
  page.wait(lambda: sorted(page.numbers()) == [1, 4, 5, 6])
  page.wait_for_samples(4)

  def recipes():
    """Returns the recipes of the versions, sorted by sample number."""
    found = page.state('state.work.versions.map(({recipe}) => recipe)')
    return sorted(found, key=lambda recipe: recipe['sample'])

  assert [len(recipe['pins']) for recipe in recipes()] == [0, 1, 1, 1]
  (stored,) = recipes()[1]['pins']
  assert (stored['x'], stored['y'], stored['size']) == (105, 40, 'M')
  drag(page, page.find('.pin')[0], -150, 60)
  page.wait_for_samples(4)
  (moved,) = recipes()[1]['pins']
  assert moved['x'] < 95 and moved['y'] > 43
  page.click('.pin')
  page.click('#unpin')
  page.wait_for_samples(4)
  assert not page.find('.pin')


def test_if_the_chosen_version_has_a_star_a_copy_of_it_gets_the_pin(opened):
  page = opened
  before = page.pictures()
  page.click('.sample:nth-child(1) .keep')
  pin(page, 105, 40)
  page.wait_for_samples(5)
  # The version with a star is followed by its copy, which has the pin.
  first, second = page.state(
    'state.work.versions.slice(0, 2).map(({id, kept, recipe}) => '
    '[kept, recipe.sample, recipe.pins.length, id === state.work.chosen])'
  )
  assert first == [True, 0, 0, False] and second == [False, 0, 1, True]
  assert before[0] in page.driver.execute_script(
    'return [...document.querySelectorAll(".sample canvas")]'
    '.map(canvas => canvas.toDataURL())'
  )


def test_a_pin_can_be_dragged_before_it_has_a_colour(opened):
  page = opened
  page.open_pin(0.3, 0.7)
  drag(page, page.find('.pin')[0], 60, -40)
  assert len(page.find('.pin')) == 1
  x, y = page.state('[state.chooser.pin.x, state.chooser.pin.y]')
  page.wait(lambda: page.find('#palette .swatch'))
  assert abs(x - 45) < 15 and x > 50 and y < 68
  page.click('.swatch')
  page.wait_for_samples(4)
  (stored,) = page.state('state.work.pins')
  assert (stored['x'], stored['y']) == (x, y)


def test_a_pin_can_be_grey_and_its_size_can_be_chosen(opened):
  page = opened
  page.open_pin(0.3, 0.7)
  page.click('#size-L')
  page.click('#neutral')
  page.wait_for_samples(4)
  assert page.state('[state.work.pins[0].color, state.work.pins[0].size]') == [
    '#808080',
    'L',
  ]
  page.open_pin(0.6, 0.3)  # a new pin has the size that was chosen last
  assert page.state('state.chooser.pin.size') == 'L'
  page.press('\ue00c')  # Escape
  page.click('.pin')
  page.click('#size-S')  # changes the existing pin
  page.wait(lambda: page.state('state.work.pins[0].size') == 'S')


def test_pins_are_saved_and_loaded(opened):
  page = opened
  colour = pin(page, 105, 40)
  page.wait_for_samples(4)
  pinned = page.pictures()
  page.click('#pins-save')
  saved = page.downloaded('my cat.png.pins.csv')
  assert saved.read_text().strip() == f'105,40,{colour},M'
  page.click('#pins-clear')
  page.wait_for_samples(4)
  assert page.pictures()[0] != pinned[0]
  page.find('#pins-file')[0].send_keys(str(saved))
  page.wait(lambda: page.find('.pin'))
  page.wait_for_samples(4)
  assert page.pictures() == pinned
  saved.write_text('1,2\n')
  page.find('#pins-file')[0].send_keys(str(saved))
  page.wait(lambda: 'line 1' in page.message())
  # Chromium logs the status of the response.
  assert all('400' in line for line in page.read_console())


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_the_command_on_the_page_writes_the_saved_picture(
  opened, photograph, tmp_path, suffix
):
  page = opened
  set_value(page, 'saturation', 1.5)
  set_value(page, 'warmth', -40)
  set_value(page, 'tint', 10)
  set_value(page, 'strength', 0.9)
  set_value(page, 'temperature', 0.8)
  pin(page, 45, 60)
  page.wait_for_samples(4)
  page.choose(2)
  page.click('#save-menu > summary')
  page.click(f'#save-{suffix}')
  saved = page.downloaded(f'my cat.png.2.{suffix}')
  page.click('#pins-save')
  pins_file = page.downloaded('my cat.png.pins.csv')
  # Run the command that the page shows, on the photograph and these pins.
  (shown,) = page.find('#command')
  _, subcommand, name, *rest = shlex.split(shown.get_attribute('textContent'))
  assert name == 'my cat.png' and pins_file.name in rest
  rest = [str(pins_file) if x == pins_file.name else x for x in rest]
  running.run(
    subcommand,
    str(photograph),
    *rest,
    f'--output={tmp_path}',
    f'--format={suffix}',
    entry_point='-m pic_jax',
  )
  with Image.open(saved) as actual, Image.open(tmp_path / saved.name) as wanted:
    np.testing.assert_array_equal(np.asarray(actual), np.asarray(wanted))


def test_dragging_a_slider_adjusts_the_picture_without_the_server(
  opened, pause_server
):
  page = opened
  wait_for_exact(page)
  before = pixels_of(page, '#exact')
  with pause_server():
    set_value(page, 'saturation', 0, 'input')
    page.wait(lambda: np.ptp(pixels_of(page, '#preview'), -1).max() <= 1)
    assert not page.find('#exact')[0].is_displayed()
  set_value(page, 'saturation', 0, 'change')
  wait_for_exact(page)
  assert np.ptp(pixels_of(page, '#exact'), -1).max() <= 3
  page.wait_for_samples(4)
  assert np.ptp(pixels_of(page, '.sample canvas'), -1).max() <= 1
  page.click('#adjust-reset')
  wait_for_exact(page)
  np.testing.assert_array_equal(pixels_of(page, '#exact'), before)


def test_the_saved_file_and_the_command_belong_to_the_shown_version(
  opened, pause_server
):
  page = opened
  (command,) = page.find('#command')
  before = command.get_attribute('textContent')
  page.click('#save-menu > summary')
  page.click('#save-png')
  saved = page.downloaded('my cat.png.0.png').read_bytes()
  page.delete_downloads()
  with pause_server():
    set_value(page, 'temperature', 0.4)  # no version is redrawn yet
    assert command.get_attribute('textContent') == before
    page.click('#save-menu > summary')
    page.click('#save-png')
  assert page.downloaded('my cat.png.0.png').read_bytes() == saved
  page.wait_for_samples(4)
  assert '--temperature 0.4' in command.get_attribute('textContent')


def test_a_before_and_after_picture_and_all_starred_versions_are_saved(opened):
  page = opened
  page.click('#save-menu > summary')
  page.click('#save-beside')
  beside = page.downloaded('my cat.png.0.before-and-after.jpg')
  with Image.open(beside) as image:
    assert image.size == (300, 100)
  page.click('#save-menu > summary')
  page.click('#save-starred')
  page.wait(lambda: 'No version has a star' in page.message())
  for index in (2, 4):
    page.click(f'.sample:nth-child({index}) .keep')
  page.click('#save-menu > summary')
  page.click('#save-starred')
  with zipfile.ZipFile(page.downloaded('my cat.png.zip')) as archive:
    assert archive.namelist() == ['my cat.png.1.png', 'my cat.png.3.png']


def test_a_damaged_file_gives_a_message_and_changes_nothing(opened, tmp_path):
  page = opened
  before = page.pictures()
  broken = tmp_path / 'broken.png'
  with Image.open(browser.ROOT / 'photos/coffee.png') as image:
    image.save(broken)
  broken.write_bytes(broken.read_bytes()[:300])
  page.upload(broken)
  page.wait(lambda: page.message().startswith('broken.png: damaged'))
  assert page.pictures() == before
  # Chromium logs the status of the response.
  assert all('422' in line for line in page.read_console())


def test_drawing_continues_after_a_reload(opened, pause_server):
  page = opened
  before = page.pictures()
  # Otherwise all samples might be drawn before the reload.
  with pause_server():
    for _ in range(6):
      page.click('#more')
    assert len(page.find('.sample.waiting')) == 24
  page.driver.refresh()
  page.wait_for_samples(28)
  assert {number: page.pictures()[number] for number in before} == before
  assert page.numbers() == list(range(28))


class QuietHandler(http.server.SimpleHTTPRequestHandler):
  def log_message(self, *_):
    pass


def test_a_page_of_another_site_can_neither_read_nor_post(
  page, address, tmp_path
):
  (tmp_path / 'index.html').write_text(
    f'<form method="post" action="{address}photographs" enctype="text/plain">'
    '<input name="a" value="b"></form>'
    f'<img src="{address}model">',
    encoding='utf-8',
  )
  handler = functools.partial(QuietHandler, directory=tmp_path)
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as site:
    threading.Thread(target=site.serve_forever).start()
    page.driver.get(f'http://127.0.0.1:{site.server_port}/')
    fetch = 'fetch(arguments[0]).then(r => r.text(), e => e.name)'
    answer = page.driver.execute_async_script(
      f'{fetch}.then(arguments[1])', f'{address}model'
    )
    assert answer == 'TypeError'  # the browser refuses to read the response
    page.driver.execute_script('document.forms[0].submit()')
    page.wait(
      lambda: 'Another site sent this request' in page.driver.page_source
    )
    site.shutdown()
  page.read_console()  # discards the errors that the browser logged
  page.driver.get(address)
