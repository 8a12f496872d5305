"""The page in a real browser, with a tiny model that reads hints."""

import contextlib
import functools
import http.server
import os
import shlex
import signal
import threading

import numpy as np
import pytest
from PIL import Image

from pic_jax.saved import weights_file
from tests import running, tiny
from tests.app import browser

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]


@pytest.fixture(scope='module')
def served(tmp_path_factory):
  """Address and process number of a server."""
  path = tmp_path_factory.mktemp('model') / 'tiny.safetensors'
  weights_file.save(path, *tiny.hinted_model(), 0)
  with browser.serving(f'--model={path}') as served:
    yield served


@pytest.fixture(scope='module')
def address(served):
  return served[0]


@contextlib.contextmanager
def asleep(pid):
  """Nothing is answered meanwhile."""
  os.kill(pid, signal.SIGSTOP)
  try:
    yield
  finally:
    os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope='module')
def one_page(address):
  with browser.showing(address) as page:
    yield page


@pytest.fixture
def page(one_page, address):
  """Without a photograph, and nothing saved."""
  one_page.forget_downloads()
  one_page.driver.execute_script('history.replaceState(null, "")')
  one_page.driver.get(address)
  yield one_page
  assert one_page.complaints() == []


@pytest.fixture(scope='module')
def photograph(tmp_path_factory):
  """Not larger than a screen, so that little is to be done."""
  path = tmp_path_factory.mktemp('photographs') / 'my cat.png'
  with Image.open(browser.ROOT / 'photos/chelsea.png') as image:
    image.convert('L').resize((150, 100)).save(path)
  return path


def test_four_versions_come_and_one_is_shown_beside_the_grey(page, photograph):
  page.upload(photograph)
  page.wait_for_samples(4)
  assert page.numbers() == [0, 1, 2, 3]
  assert len(set(page.sources().values())) == 4
  assert all('bits/dim' in bits.text for bits in page.find('.bits'))
  assert '150 × 100' in page.find('#caption')[0].text
  shown = page.find('#after')[0]
  assert shown.get_attribute('src') == page.sources()[0]
  page.click('.sample:nth-child(3) .pick')
  assert shown.get_attribute('src') == page.sources()[2]
  sizes = page.driver.execute_script(
    'return [...document.querySelectorAll("#sheet img")]'
    '.map(image => image.naturalWidth)'
  )
  assert sizes == [150, 150]


def test_the_divider_uncovers_the_grey(page, photograph):
  page.upload(photograph)
  page.wait_for_samples(4)
  (divider,) = page.find('#divider')

  def cut():
    """Pixels of the coloured picture that are covered, from the left."""
    text = page.find('#after')[0].value_of_css_property('clip-path')
    return float(text.removesuffix('px)').split()[-1])

  before, left = cut(), divider.rect['x']
  drag(page, divider, 150, 0)
  assert cut() == pytest.approx(before + 150, abs=1)
  assert divider.rect['x'] == pytest.approx(left + 150, abs=1)
  share = int(divider.get_attribute('aria-valuenow'))
  divider.send_keys('\ue014')  # the right arrow
  assert int(divider.get_attribute('aria-valuenow')) == share + 5
  page.click('#zoom-in')
  assert page.find('#zoom-level')[0].text == '150 %'
  covered, before = cut(), page.find('#after')[0].rect
  drag(page, page.find('#stage')[0], -40, 0)  # what is zoomed moves
  assert page.find('#after')[0].rect['x'] == pytest.approx(before['x'] - 40)
  assert cut() == pytest.approx(covered + 40 / 1.5, abs=1)


def drag(page, element, right, down):
  from selenium.webdriver import ActionChains

  actions = ActionChains(page.driver, duration=20)
  actions.drag_and_drop_by_offset(element, right, down).perform()


def test_again_draws_others_in_place_of_all_that_are_not_kept(page, photograph):
  page.upload(photograph)
  page.wait_for_samples(4)
  before = page.sources()
  page.click('.sample:nth-child(2) .keep')
  page.click('#again')
  page.wait(lambda: page.numbers() == [1, 4, 5, 6])
  page.wait_for_samples(4)
  after = page.sources()
  assert after[1] == before[1] and len(set(after.values())) == 4
  page.click('#more')
  page.wait_for_samples(8)
  assert page.numbers() == [1, 4, 5, 6, 7, 8, 9, 10]
  assert {n: page.sources()[n] for n in after} == after


def test_more_versions_than_one_request_may_ask_for(page, photograph, served):
  page.upload(photograph)
  page.wait_for_samples(4)
  with asleep(served[1]):
    for _ in range(16):
      page.click('#more')
  page.wait_for_samples(68)
  before = page.sources()
  set_value(page, 'saturation', 1.5)  # all of them at once
  page.wait_for_samples(68)
  after = page.sources()
  assert after.keys() == before.keys()
  assert all(after[number] != before[number] for number in before)
  page.click('#order option[value=different]')
  page.wait(lambda: page.numbers()[:64] != list(range(64)))
  assert sorted(page.numbers()) == list(range(68))
  assert page.message() == ''


def test_versions_can_be_ordered(page, photograph):
  page.upload(photograph)
  page.wait_for_samples(4)
  page.click('#more')
  page.wait_for_samples(8)

  def bits():
    return [float(label.text.split()[0]) for label in page.find('.bits')]

  numbers, drawn = page.numbers(), bits()
  assert drawn != sorted(drawn)
  page.click('#order option[value=probable]')
  page.wait(lambda: bits() == sorted(drawn))
  page.click('#order option[value=different]')
  page.wait(lambda: bits()[0] == min(drawn) and bits() != sorted(drawn))
  page.click('#order option[value=drawn]')
  page.wait(lambda: page.numbers() == numbers and bits() == drawn)


def pin(page, x, y):
  """Gives a pixel of `photograph` the likeliest colour; returns it."""
  assert page.find('#sheet')[0].rect['width'] > 3 * 150, (
    'a pixel must be larger than what is rounded here'
  )
  page.open_pin((x + 0.5) / 150, (y + 0.5) / 100)
  colour = page.find('.swatch')[0].get_attribute('data-colour')
  page.click('.swatch')
  return colour


def test_a_pin_from_the_palette_is_kept_by_all_that_comes(page, photograph):
  page.upload(photograph)
  page.wait_for_samples(4)
  before = page.sources()
  page.click('.sample:nth-child(2) .keep')
  pin(page, 105, 40)
  page.wait_for_samples(4)
  after = page.sources()
  # The same samples, with the pin; the kept one has none.
  assert [after[n] == before[n] for n in range(4)] == [
    False,
    True,
    False,
    False,
  ]
  page.click('#again')
  page.wait(lambda: page.numbers() == [1, 4, 5, 6])
  page.wait_for_samples(4)
  recipes = page.driver.execute_script('return history.state.cards')
  assert [len(card['recipe']['pins']) for card in recipes] == [0, 1, 1, 1]
  ((x, y, _),) = recipes[1]['recipe']['pins']
  assert (x, y) == (105, 40)
  drag(page, page.find('.pin')[0], -150, 60)  # moves it
  page.wait_for_samples(4)
  (card, *_) = page.driver.execute_script('return history.state.cards')[1:]
  ((moved, lower, _),) = card['recipe']['pins']
  assert moved < x - 10 and lower > y + 3
  page.click('.pin')
  page.click('#unpin')
  page.wait_for_samples(4)
  assert not page.find('.pin')


def test_pins_are_saved_and_loaded(page, photograph, tmp_path):
  page.upload(photograph)
  page.wait_for_samples(4)
  colour = pin(page, 105, 40)
  page.wait_for_samples(4)
  pinned = page.sources()
  page.click('#pins-save')
  saved = page.downloaded('my cat.png.pins.csv')
  assert saved.read_text().strip() == f'105,40,{colour}'
  page.click('#pins-clear')
  page.wait_for_samples(4)
  assert page.sources()[0] != pinned[0]
  page.find('#pins-file')[0].send_keys(str(saved))
  page.wait(lambda: page.find('.pin'))
  page.wait_for_samples(4)
  assert page.sources() == pinned
  saved.write_text('1,2\n')
  page.find('#pins-file')[0].send_keys(str(saved))
  page.wait(lambda: 'line 1: must be' in page.message())


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_what_is_saved_is_what_the_command_line_makes(
  page, photograph, tmp_path, suffix
):
  page.upload(photograph)
  page.wait_for_samples(4)
  set_value(page, 'saturation', 1.5)
  set_value(page, 'temperature', 0.8)
  pin(page, 45, 60)
  page.wait_for_samples(4)
  page.click('.sample:nth-child(3) .pick')
  page.click(f'#save-{suffix}')
  saved = page.downloaded(f'my cat.png.2.{suffix}')
  page.click('#pins-save')
  known = page.downloaded('my cat.png.pins.csv')
  # The command that the page shows, run beside photograph and pins.
  (shown,) = page.find('#command')
  _, verb, name, *more = shlex.split(shown.get_attribute('textContent'))
  assert name == 'my cat.png' and known.name in more
  more = [str(known) if word == known.name else word for word in more]
  running.run(
    verb,
    str(photograph),
    *more,
    f'--output={tmp_path}',
    f'--format={suffix}',
    door='-m pic_jax',
  )
  with Image.open(saved) as ours, Image.open(tmp_path / saved.name) as theirs:
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_what_is_taken_away_is_what_is_shown(page, photograph, served):
  page.upload(photograph)
  page.wait_for_samples(4)
  (command,) = page.find('#command')
  before = command.get_attribute('textContent')
  page.click('#save-png')
  saved = page.downloaded('my cat.png.0.png').read_bytes()
  page.forget_downloads()
  with asleep(served[1]):
    page.click('#again')  # the new ones are not there yet
    assert page.numbers() == [4, 5, 6, 7]
    assert command.get_attribute('textContent') == before
    page.click('#save-png')
  assert page.downloaded('my cat.png.0.png').read_bytes() == saved
  page.wait_for_samples(4)
  assert '--samples 4' in command.get_attribute('textContent')


def set_value(page, name, value):
  page.driver.execute_script(
    f'const slider = document.getElementById("{name}");'
    f'slider.value = {value}; slider.dispatchEvent(new Event("change"))'
  )


def test_a_link_leads_to_the_same_version(page, photograph, address):
  page.driver.execute_cdp_cmd(
    'Browser.grantPermissions',
    {'permissions': ['clipboardReadWrite', 'clipboardSanitizedWrite']},
  )
  page.upload(photograph)
  page.wait_for_samples(4)
  set_value(page, 'saturation', 1.5)
  page.wait_for_samples(4)
  pin(page, 75, 50)
  page.wait_for_samples(4)
  page.click('.sample:nth-child(4) .pick')
  wanted = page.sources()[3]
  page.click('#link')
  page.wait(lambda: 'is copied' in page.message())
  link = page.driver.execute_async_script(
    'navigator.clipboard.readText().then(arguments[0])'
  )
  page.driver.execute_script('history.replaceState(null, "")')
  page.driver.get('about:blank')
  page.driver.get(link)
  page.wait(lambda: 'version 3' in page.find('#wanted')[0].text)
  page.upload(photograph)
  page.wait_for_samples(1)
  assert page.sources() == {3: wanted}
  page.click('#more')  # number 3 is there
  page.wait_for_samples(5)
  assert page.numbers() == [0, 1, 2, 3, 4]
  assert len(page.find('.pin')) == 1


def test_a_broken_file_gets_one_line_and_nothing_else_changes(
  page, photograph, tmp_path
):
  page.upload(photograph)
  page.wait_for_samples(4)
  before = page.sources()
  broken = tmp_path / 'broken.png'
  broken.write_bytes(photograph.read_bytes()[:300])
  page.upload(broken)
  page.wait(lambda: page.message().startswith('broken.png: damaged'))
  assert page.sources() == before
  # Chromium tells of the status.
  assert all('422' in line for line in page.complaints())


def test_a_reload_in_the_middle_of_a_draw_goes_on(page, photograph, served):
  page.upload(photograph)
  page.wait_for_samples(4)
  before = page.sources()
  with asleep(served[1]):  # else it may have drawn all before the reload
    for _ in range(6):
      page.click('#more')
    assert len(page.find('.sample.waiting')) == 24
  page.driver.refresh()
  page.wait_for_samples(28)
  assert {number: page.sources()[number] for number in before} == before
  assert page.numbers() == list(range(28))


@contextlib.contextmanager
def stranger(html, folder):
  """Another site, with one page."""
  (folder / 'index.html').write_text(html, encoding='utf-8')
  handler = functools.partial(QuietHandler, directory=folder)
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as its_server:
    threading.Thread(target=its_server.serve_forever).start()
    yield f'http://127.0.0.1:{its_server.server_port}/'
    its_server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
  def log_message(self, *_):
    pass


def test_a_strangers_page_can_do_nothing(page, address, tmp_path):
  form = (
    f'<form method="post" action="{address}photographs" enctype="text/plain">'
    '<input name="a" value="b"></form>'
    f'<img src="{address}model">'
  )
  with stranger(form, tmp_path) as url:
    page.driver.get(url)
    read = 'fetch(arguments[0]).then(r => r.text(), e => e.name)'
    answer = page.driver.execute_async_script(
      f'{read}.then(arguments[1])', f'{address}model'
    )
    assert answer == 'TypeError'  # may not be read
    page.driver.execute_script('document.forms[0].submit()')
    page.wait(lambda: 'Another site asked for this' in page.driver.page_source)
  page.complaints()
