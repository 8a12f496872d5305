"""Undo and redo, the browser's history, and what the browser stores."""

import pytest

from tests.app import browser
from tests.app.browser_test import pin, set_value

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]
CTRL, SHIFT = '\ue009', '\ue008'


def work(page):
  """Returns the user's work on the photograph, see work.js."""
  return page.state('state.work')


def test_every_step_is_undone_and_redone(opened):
  page = opened
  works = [work(page)]
  pin(page, 105, 40)
  page.wait_for_samples(4)
  works.append(work(page))
  page.click('.sample:nth-child(2) .keep')
  page.wait(lambda: work(page) != works[-1])
  works.append(work(page))
  page.click('#again')
  page.wait_for_samples(4)
  works.append(work(page))
  set_value(page, 'warmth', 40)
  page.wait(lambda: work(page) != works[-1])
  works.append(work(page))
  page.click('#pins-clear')
  page.wait_for_samples(4)
  works.append(work(page))
  assert len({str(x) for x in works}) == 6
  for expected in works[-2::-1]:
    page.chord(CTRL, 'z')
    page.wait(lambda wanted=expected: work(page) == wanted)
  assert not page.find('#undo')[0].is_enabled()
  page.chord(CTRL, 'z')
  page.wait(lambda: 'Nothing is left to undo' in page.message())
  for expected in works[1:3]:
    page.chord(CTRL, SHIFT, 'z')
    page.wait(lambda wanted=expected: work(page) == wanted)
  page.click('#redo')
  page.wait(lambda: work(page) == works[3])
  page.click('#undo')
  page.wait(lambda: work(page) == works[2])
  page.wait_for_samples(4)
  page.click('#more')  # a new step discards the steps that were undone
  page.wait_for_samples(8)
  assert not page.find('#redo')[0].is_enabled()


def test_several_moves_of_a_slider_are_one_step(opened):
  page = opened
  before = work(page)
  for value in (0.5, 0.7, 0.9, 1.4):
    set_value(page, 'saturation', value)
  page.wait(lambda: work(page)['adjustments']['saturation'] == 1.4)
  page.click('#undo')
  page.wait(lambda: work(page) == before)
  assert page.find('#redo')[0].is_enabled()


@pytest.fixture
def in_new_tab(page, address, photograph):
  """The page in a new tab, because browsers keep only 50 entries per tab."""
  first_tab = page.driver.current_window_handle
  page.driver.switch_to.new_window('tab')
  page.driver.get(address)
  page.wait(lambda: page.state('state.model !== null'))
  page.upload(photograph)
  page.wait_for_samples(4)
  yield page
  page.driver.close()
  page.driver.switch_to.window(first_tab)


def test_the_back_button_of_the_browser_undoes(in_new_tab):
  page = in_new_tab
  works = [work(page)]

  def entry():
    """Returns the work in the current entry of the browser's history."""
    return page.driver.execute_script('return history.state.step.work')

  for value in (10, 20, 30):
    for name in ('warmth', 'tint'):  # each change adds an entry
      set_value(page, name, value)
      page.wait(lambda: entry() == work(page))
    works.append(work(page))
    assert page.state('state.timeline.index') == 2 * (len(works) - 1)

  def go(steps, wanted):
    page.driver.execute_script('history.go(arguments[0])', steps)
    page.wait(lambda: work(page) == wanted)
    page.wait(lambda: entry() == wanted)

  go(-2, works[2])
  go(-2, works[1])
  go(2, works[2])
  page.click('#undo')
  page.wait(lambda: work(page) != works[2] and entry() == work(page))
  # The previous entry has the step to which Undo went back, so Back skips it.
  go(-1, works[1])


def test_the_page_works_if_the_browser_refuses_history_entries(opened):
  page = opened
  page.driver.execute_script(
    'history.pushState = history.replaceState = () => {'
    'throw new DOMException("more than 100 times per 30 seconds",'
    ' "SecurityError"); }'
  )
  page.click('#more')
  page.wait_for_samples(8)
  set_value(page, 'temperature', 0.5)
  page.wait_for_samples(8)
  assert page.message() == ''
  page.click('#undo')
  page.wait(lambda: work(page)['temperature'] == 1)


def test_the_history_is_written_at_most_twice_a_second(opened):
  page = opened
  page.driver.execute_script(
    'window.writes = 0;'
    'for (const name of ["pushState", "replaceState"]) {'
    '  const write = history[name].bind(history);'
    '  history[name] = (...args) => { window.writes++; write(...args); };'
    '}'
  )
  # If no element has the focus, arrow keys choose versions.
  page.driver.execute_script('document.activeElement.blur()')
  for _ in range(15):
    page.press('\ue015', '\ue015', '\ue013', '\ue013')  # down, up
  page.click('#more')
  page.wait_for_samples(8)
  # Safari allows only 100 writes in 30 s.
  seconds = page.driver.execute_script('return performance.now() / 1000')
  assert page.driver.execute_script('return window.writes') <= 2 * seconds


def test_opening_another_photograph_is_a_step(opened, photographs):
  page = opened
  pin(page, 105, 40)
  page.wait_for_samples(4)
  first = work(page)
  page.upload(photographs[1])
  page.wait(lambda: page.state('state.name') == 'cup.png')
  page.wait_for_samples(4)
  assert not page.find('.pin')
  page.click('#undo')
  page.wait(lambda: page.state('state.name') == 'my cat.png')
  page.wait_for_samples(4)
  assert work(page) == first and len(page.find('.pin')) == 1
  page.click('#redo')
  page.wait(lambda: page.state('state.name') == 'cup.png')


def test_pins_and_stars_come_back_with_their_photograph(opened, photographs):
  page = opened
  pin(page, 105, 40)
  page.click('.sample:nth-child(2) .keep')
  page.click('.sample:nth-child(3) .pick')
  page.wait_for_samples(4)
  before = work(page)
  page.upload(photographs[1])
  page.wait(lambda: page.state('state.name') == 'cup.png')
  page.wait_for_samples(4)
  page.upload(photographs[0])
  page.wait(lambda: 'are back' in page.message())
  page.wait_for_samples(4)
  assert work(page) == before
  page.click('#menu > summary')
  page.click('#afresh')
  page.wait(lambda: not page.find('.pin'))
  page.click('#menu > summary')
  page.click('#forget')
  page.wait(lambda: 'are forgotten' in page.message())
  page.upload(photographs[1])
  page.wait(lambda: page.state('state.name') == 'cup.png')
  page.wait_for_samples(4)
  assert page.message() == ''


def test_steps_can_be_undone_after_a_reload(opened):
  page = opened
  before = work(page)
  pin(page, 105, 40)
  page.wait_for_samples(4)
  pinned = work(page)
  page.driver.refresh()
  page.wait_for_samples(4)
  assert work(page) == pinned
  page.click('#undo')
  page.wait(lambda: work(page) == before)


def make_server_drop_photographs(address, count=17):
  """Opens so many photographs that the server drops all earlier ones."""
  import io
  import urllib.request

  from PIL import Image

  for index in range(count):
    file = io.BytesIO()
    Image.new('L', (60 + index, 40)).save(file, 'PNG')
    request = urllib.request.Request(
      f'{address}photographs', file.getvalue(), method='POST'
    )
    urllib.request.urlopen(request).read()


def test_work_continues_after_the_server_dropped_the_photograph(
  page, photograph, address, tmp_path
):
  changed = tmp_path / 'edited.png'
  changed.write_bytes(photograph.read_bytes())
  page.upload(changed)
  page.wait_for_samples(4)
  changed.write_bytes(b'something else')  # the file changes on disk
  make_server_drop_photographs(address)
  page.click('#more')
  page.wait_for_samples(8)
  assert page.message() == ''
  assert all('404' in line for line in page.read_console())
  # A reload loses the page's copy of the file, but not the pins and stars.
  page.click('.sample:nth-child(2) .keep')
  make_server_drop_photographs(address)
  page.driver.refresh()
  page.wait(lambda: 'open it again' in page.message())
  page.upload(photograph)
  page.wait_for_samples(8)
  assert page.state('state.work.versions[1].kept')
  assert all('404' in line for line in page.read_console())
