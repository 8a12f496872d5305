"""Links to a version: copying, following, and incomplete links."""

import hashlib

import pytest

from tests.app import browser
from tests.app.browser_test import pin, set_value

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]


def digest(path):
  return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def clipboard(page):
  """A function that reads the clipboard."""
  page.driver.execute_cdp_cmd(
    'Browser.grantPermissions',
    {'permissions': ['clipboardReadWrite', 'clipboardSanitizedWrite']},
  )
  # A test makes `navigator.clipboard` unavailable to the page.
  page.driver.execute_script('window.clip = navigator.clipboard')
  return lambda: page.driver.execute_async_script(
    'window.clip.readText().then(arguments[0])'
  )


def copy_link(page):
  """Copies a link to the chosen version; returns the page's message."""
  page.click('#save-menu > summary')
  page.click('#link')
  page.wait(lambda: page.message())
  return page.message()


def test_a_link_leads_to_the_same_version(page, photograph, address, clipboard):
  page.upload(photograph)
  page.wait_for_samples(4)
  set_value(page, 'saturation', 1.5)
  set_value(page, 'warmth', -25)
  pin(page, 75, 50)
  page.wait_for_samples(4)
  page.choose(3)
  wanted = page.pictures()[3]
  assert 'is copied' in copy_link(page)
  link = clipboard()
  page.driver.execute_script(
    'history.replaceState(null, ""); localStorage.clear()'
  )
  page.driver.get('about:blank')
  page.driver.get(link)
  page.wait(lambda: 'version 3' in page.find('#wanted')[0].text)
  page.upload(photograph)
  page.wait_for_samples(1)
  assert page.pictures() == {3: wanted}
  page.click('#more')  # skips number 3, which exists
  page.wait_for_samples(5)
  assert sorted(page.numbers()) == [0, 1, 2, 3, 4]
  assert len(page.find('.pin')) == 1


def test_a_link_is_copied_over_plain_http(opened, clipboard):
  page = opened
  # Pages that are served over plain HTTP have no `navigator.clipboard`.
  page.driver.execute_script(
    'Object.defineProperty(navigator, "clipboard", {value: undefined})'
  )
  assert 'is copied' in copy_link(page)
  assert '#photograph=' in clipboard()
  page.close_message()
  page.driver.execute_script('document.execCommand = () => false')
  # If copying fails, the message contains the link.
  assert f'{page.address}#photograph=' in copy_link(page)


def test_a_link_in_an_open_tab_is_followed(opened, photographs, address):
  page = opened
  fields = 'model=x&seed=3&sample=2&temperature=0.8&saturation=1&pins='
  page.driver.get(
    f'{address}#photograph={digest(photographs[0])}&{fields}9%2C5%2C%23c81e1e'
  )
  page.wait(lambda: page.find('.pin'))
  page.wait_for_samples(5)
  chosen = page.state('state.work.versions[0].recipe')
  assert (chosen['seed'], chosen['sample']) == (3, 2)
  assert 'another model' in page.message()
  page.driver.get(f'{address}#photograph={digest(photographs[1])}&{fields}')
  page.wait(lambda: page.find('#wanted')[0].is_displayed())
  page.upload(photographs[1])
  page.wait(lambda: page.state('state.name') == 'cup.png')
  page.wait_for_samples(1)
  assert not page.find('#wanted')[0].is_displayed()
  assert page.numbers() == [2]


def test_an_incomplete_link_is_reported_and_the_page_still_works(
  page, photographs, address
):
  page.driver.get('about:blank')
  page.driver.get(
    f'{address}#photograph={digest(photographs[0])}&seed=3&evil=1'
  )
  page.wait(lambda: 'version 0' in page.find('#wanted')[0].text)
  # This is not the photograph of the link.
  page.upload(photographs[1])
  page.wait_for_samples(4)
  assert 'not the photograph of the link' in page.message()
  page.upload(photographs[0])
  page.wait_for_samples(1)
  message = page.message()
  assert all(word in message for word in ('missing', 'temperature', 'evil'))
  assert page.state('state.work.seed') == 3
  page.click('#more')
  page.wait_for_samples(5)
  page.driver.refresh()
  page.wait_for_samples(5)
  page.driver.get(f'{address}#photograph=abc')
  page.wait(lambda: 'names no photograph' in page.message())
  page.click('#more')
  page.wait_for_samples(9)


def test_a_link_that_waits_for_its_photograph_can_be_dismissed(
  page, photographs, address
):
  page.driver.get('about:blank')
  page.driver.get(f'{address}#photograph={digest(photographs[0])}')
  page.wait(lambda: page.find('#wanted')[0].is_displayed())
  page.click('#wanted-close')
  page.upload(photographs[1])
  page.wait_for_samples(4)
  assert page.message() == ''


def test_the_command_is_safe_for_a_name_that_begins_with_a_dash(
  page, photographs
):
  page.upload(photographs[2])
  page.wait_for_samples(4)
  command = page.find('#command')[0].get_attribute('textContent')
  assert command.startswith('pic-jax colorize ./-3.png -o out')
