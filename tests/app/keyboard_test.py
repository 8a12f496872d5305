"""The page without a mouse: keyboard, touch, screen reader and axe-core."""

import json
import pathlib
import time

import pytest

from tests.app import browser
from tests.app.browser_test import pin

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]
AXE = pathlib.Path(__file__).parent / 'axe-core-4.14.1/axe.min.js'
ENTER, ESCAPE, TAB, SPACE, DELETE = '\ue007', '\ue00c', '\ue004', ' ', '\ue017'
LEFT, UP, RIGHT, DOWN = '\ue012', '\ue013', '\ue014', '\ue015'


def axe_violations(page):
  """Returns the rules of axe-core that the page violates, with the elements."""
  if not page.driver.execute_script('return "axe" in window'):
    page.driver.execute_script(AXE.read_text(encoding='utf-8'))
  report = page.driver.execute_async_script(
    'axe.run(document, {resultTypes: ["violations"]}).then(arguments[0])'
  )
  return [
    f'{rule["id"]}: {json.dumps([node["target"] for node in rule["nodes"]])}'
    for rule in report['violations']
  ]


def focus(page, selector):
  page.driver.execute_script(
    'document.querySelector(arguments[0]).focus()', selector
  )


def test_axe_finds_no_violations(page, photographs, tmp_path):
  assert axe_violations(page) == []
  page.driver.execute_script(
    'document.getElementById("menu").setAttribute("open", "")'
  )
  assert axe_violations(page) == []
  page.drop(*photographs)  # shows the strip
  page.wait_for_samples(4)
  assert axe_violations(page) == []
  page.close_message()
  page.open_pin(0.7, 0.4)
  assert axe_violations(page) == []
  page.click('.swatch')
  page.wait_for_samples(4)
  broken = tmp_path / 'broken.png'
  broken.write_bytes(b'nonsense')
  page.upload(broken)
  page.wait(lambda: page.message().startswith('broken.png'))
  assert axe_violations(page) == []
  page.driver.execute_script(
    'document.getElementById("save-menu").setAttribute("open", "")'
  )
  assert axe_violations(page) == []
  page.read_console()  # discards the server's error for broken.png


def test_the_focus_stays_when_the_page_changes(opened):
  page = opened
  focus(page, '.sample:nth-child(3) .pick')
  page.press(ENTER)
  page.wait(lambda: page.find('.sample.chosen b')[0].text == '#2')
  assert page.focused() == 'pick'
  page.press(TAB)
  assert page.focused() == 'keep'
  page.press(SPACE)
  page.wait(lambda: page.state('state.work.versions[2].kept'))
  assert page.focused() == 'keep'
  focus(page, '#order')
  page.driver.execute_script(
    'const order = document.getElementById("order"); order.value = "likely";'
    'order.dispatchEvent(new Event("change"))'
  )
  page.wait(lambda: page.state('state.work.order') == 'likely')
  assert page.focused() == 'order'
  # If a version with the focus is replaced, the new one gets the focus.
  focus(page, '.sample:nth-child(2) .pick')
  page.driver.execute_script('document.getElementById("again").click()')
  page.wait_for_samples(4)
  assert page.focused() == 'pick'


def test_a_pin_is_set_moved_and_removed_by_keys(opened):
  page = opened
  focus(page, '#crosshair')
  page.press(RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, DOWN, DOWN)
  # Each key moves the crosshair by 0.02 of the width or height.
  u, v = 0.5 + 5 * 0.02, 0.5 + 2 * 0.02
  page.press(ENTER)
  page.wait(lambda: page.find('#palette .swatch'))
  page.wait(lambda: page.focused() == 'swatch')
  x, y = page.state('[state.chooser.pin.x, state.chooser.pin.y]')
  assert abs(x - 150 * u) <= 8 and abs(y - 100 * v) <= 8
  page.press(ESCAPE)
  page.wait(lambda: page.focused() == 'crosshair')
  assert not page.find('.pin')
  page.press(ENTER)
  page.wait(lambda: page.focused() == 'swatch')
  page.press(ENTER)
  page.wait_for_samples(4)
  page.wait(lambda: page.focused().startswith('pin'))
  label = page.find('.pin')[0].get_attribute('aria-label')
  assert label.startswith('Pin 1, ') and label.endswith(', size M')
  page.press(LEFT, LEFT, UP)
  page.wait(lambda: page.state('state.work.pins[0].x') < x)
  assert page.state('state.work.pins[0].y') < y
  page.wait_for_samples(4)
  page.press(SPACE)  # opens the dialog, as Enter does
  page.wait(lambda: page.find('#chooser')[0].is_displayed())
  page.wait(lambda: page.focused() == 'swatch')
  page.press(ESCAPE)
  page.wait(lambda: page.focused().startswith('pin'))
  page.press(DELETE)
  page.wait(lambda: not page.find('.pin'))
  assert page.focused() != 'BODY'
  page.wait_for_samples(4)
  page.press(ENTER)
  page.wait(lambda: page.focused() == 'swatch')
  page.press(ENTER)
  page.wait(lambda: page.find('.pin'))
  focus(page, '#crosshair')
  page.press(DELETE)  # removes the pin nearest to the crosshair
  page.wait(lambda: not page.find('.pin'))
  page.wait_for_samples(4)


def test_a_move_by_keys_moves_no_other_pin(opened):
  page = opened
  pin(page, 105, 40)
  pin(page, 40, 60)
  page.wait_for_samples(4)
  first, second = page.state('state.work.pins')
  # Two pins are moved in quick succession. Both moves are applied.
  focus(page, '.pin[data-key="0"]')
  page.press(RIGHT)
  focus(page, '.pin[data-key="1"]')
  page.press(UP)
  page.wait(lambda: page.state('state.work.pins[1].y') < second['y'])
  assert page.state('state.work.pins[0].x') > first['x']
  (second,) = page.state('state.work.pins.slice(1)')
  # Removing a pin cancels its pending move, which would move the other pin.
  focus(page, '.pin[data-key="0"]')
  page.press(LEFT, DELETE)
  page.wait(lambda: len(page.find('.pin')) == 1)
  time.sleep(1.5)
  assert page.state('state.work.pins') == [second]


def test_a_cancelled_touch_leaves_the_pin_where_the_finger_was(opened):
  page = opened
  pin(page, 105, 40)
  page.wait_for_samples(4)
  before = page.state('state.work.pins[0].x')
  box = page.find('.pin')[0].rect
  x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
  for kind, offset in (
    ('touchStart', 0),
    ('touchMove', -30),
    ('touchMove', -60),
    ('touchCancel', None),
  ):
    points = [] if offset is None else [{'x': x + offset, 'y': y}]
    page.driver.execute_cdp_cmd(
      'Input.dispatchTouchEvent', {'type': kind, 'touchPoints': points}
    )
  page.wait(lambda: page.state('state.work.pins[0].x') < before)
  assert len(page.state('state.work.pins')) == 1


def test_a_click_by_a_screen_reader_opens_a_pin(opened):
  page = opened
  pin(page, 105, 40)
  page.driver.execute_script('document.querySelector(".pin").click()')
  page.wait(lambda: page.find('#chooser')[0].is_displayed())
  page.wait(lambda: page.find('#palette .swatch'))
  assert len(page.find('.pin')) == 1


def test_buttons_menu_and_zoom_respond_to_keys(opened):
  page = opened
  count_clicks = (
    'const input = document.getElementById(arguments[0]);'
    'window.clicks = 0; input.click = () => window.clicks++;'
    'document.getElementById(arguments[1]).focus()'
  )
  for input_id, button_id in (('pins-file', 'pins-load'), ('file', 'other')):
    page.driver.execute_script(count_clicks, input_id, button_id)
    page.press(ENTER)
    assert page.driver.execute_script('return window.clicks') == 1
  focus(page, '#save-menu > summary')
  page.press(ENTER)
  assert page.find('#save-png')[0].is_displayed()
  page.press(ESCAPE)
  assert not page.find('#save-png')[0].is_displayed()
  focus(page, '#crosshair')
  page.press('+', '+')
  assert page.find('#zoom-level')[0].text == '225 %'
  page.press('-')
  assert page.find('#zoom-level')[0].text == '150 %'


def test_versions_are_announced_and_labelled(opened):
  page = opened
  news = page.find('#news')[0]
  assert news.get_attribute('textContent') == '4 versions are ready.'
  assert news.get_attribute('role') == 'status'
  page.driver.execute_script('document.getElementById("more").click()')
  page.wait_for_samples(8)
  label = page.find('.sample .pick')[0].get_attribute('aria-label')
  assert label.startswith('Version 0, ')


def test_controls_are_reached_by_tab_and_show_the_focus(opened):
  page = opened
  focused = []
  focus(page, 'header summary')
  for _ in range(40):
    page.press(TAB)
    focused.append(page.focused())
    shows_focus = page.driver.execute_script(
      'const all = [document.activeElement, '
      'document.activeElement.closest(".sample"), '
      'document.activeElement.firstElementChild].filter(Boolean);'
      'return all.some(node => getComputedStyle(node).outlineStyle !== "none")'
    )
    assert shows_focus or focused[-1] == 'BODY', focused[-1]
    if focused[-1] in ('own', 'BODY'):  # the end of the page
      break
  for name in (
    'crosshair',
    'divider',
    'zoom-in',
    'order',
    'pick',
    'keep',
    'again',
    'temperature',
    'pins-load',
    'saturation',
    'warmth',
    'tint',
    'strength',
  ):
    assert name in focused, name


def test_click_targets_have_sides_of_at_least_24_pixels(opened):
  small = opened.driver.execute_script(
    'return [...document.querySelectorAll("button, select, summary, '
    'input:not([hidden])")].filter(node => {'
    '  const {width, height} = node.getBoundingClientRect();'
    '  const inLabel = node.closest("label")?.getBoundingClientRect();'
    '  return width && Math.min(Math.max(height, inLabel?.height ?? 0),'
    '    Math.max(width, inLabel?.width ?? 0)) < 24;'
    '}).map(node => node.id || node.className)'
  )
  assert small == []
