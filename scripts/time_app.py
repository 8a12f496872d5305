"""Times the web app in a browser, and measures its server's memory.

  python scripts/time_app.py [PHOTOGRAPH]

The script drops a photograph on the page twice, when the server has just
started and when the server is in use, and then pins a colour. For each of these
steps it measures the time until the first and the fourth version appear. The
compilation cache is warm. Then the script colours 100 photographs of 100 sizes
without the browser, and prints the memory of the server.
"""

import http.client
import io
import json
import pathlib
import re
import sys
import tempfile
import time
import urllib.parse
from typing import IO

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.app import browser  # noqa: E402

PHOTOGRAPH = ROOT / 'photos/coffee.png'
NUM_PHOTOGRAPHS = 100


def drop(page: browser.Page, path: pathlib.Path) -> tuple[float, float]:
  """Measures the seconds from a drop to the first and to the fourth version."""
  start = time.perf_counter()
  page.upload(path)
  page.wait(lambda: page.find(browser.READY))
  first = time.perf_counter() - start
  page.wait_for_samples(4)
  return first, time.perf_counter() - start


def pin(page: browser.Page) -> tuple[float, float]:
  """Measures the same times as `drop`, from a click on a colour."""
  page.open_pin(0.6, 0.5)
  start = time.perf_counter()
  page.click('.swatch')
  page.wait(lambda: page.find(browser.READY))
  first = time.perf_counter() - start
  page.wait_for_samples(4)
  return first, time.perf_counter() - start


def report(label: str, times: tuple[float, float]) -> None:
  """Prints a line with the times of the first and the fourth version."""
  print(f'{label}: first version {times[0]:.2f} s, fourth {times[1]:.2f} s')


def resident(pid: int) -> float:
  """Returns the resident memory of a process in MiB."""
  status = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='utf-8')
  return int(re.search(r'VmRSS:\s+(\d+)', status)[1]) / 1024


def post(address: str, path: str, body: bytes | dict) -> bytes:
  """Sends a POST request, as the page does, and returns the response."""
  url = urllib.parse.urlsplit(address)
  connection = http.client.HTTPConnection(url.hostname, url.port, 120)
  data = body if isinstance(body, bytes) else json.dumps(body)
  connection.request('POST', path, data)
  response = connection.getresponse()
  answer = response.read()
  connection.close()
  assert response.status < 300, answer
  return answer


def colour(address: str, index: int) -> None:
  """Opens a photograph, draws two versions of it and saves one.

  Args:
    address: address of the server.
    index: index of the photograph, which determines its size and colours.
  """
  rng = np.random.default_rng(index)
  # All sizes are different, and not sorted.
  width, height = 300 + 17 * (index * 61 % 100), 300 + 11 * (index * 37 % 100)
  small = rng.integers(0, 256, (6, 6, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(small).resize((width, height)).save(file, 'JPEG')
  photo = json.loads(post(address, '/photographs', file.getvalue()))
  plain = {'seed': 0, 'temperature': 1.0, 'pins': []}
  recipes = [plain | {'sample': sample} for sample in range(2)]
  post(address, f'/photographs/{photo["id"]}/draw', {'recipes': recipes})
  neutral = {'saturation': 1.0, 'warmth': 0.0, 'tint': 0.0, 'strength': 1.0}
  request = {
    'recipes': recipes[:1],
    'adjustments': neutral,
    'beside': False,  # without the grey photograph beside the result
    'format': 'jpg',
  }
  post(address, f'/photographs/{photo["id"]}/save', request)


def wait_until_ready(log: IO) -> None:
  """Waits until the log says that the server has compiled the usual shapes."""
  while True:
    log.seek(0)
    if 'Ready' in log.read():
      return
    time.sleep(0.5)


def main() -> None:
  """Prints the times and the memory."""
  path = pathlib.Path(sys.argv[1]) if sys.argv[1:] else PHOTOGRAPH
  # The first server fills the compilation cache.
  with (
    tempfile.TemporaryFile('w+') as log,
    browser.serving(stderr=log) as (address, _),
  ):
    colour(address, 0)
    wait_until_ready(log)
  with (
    tempfile.TemporaryFile('w+') as log,
    browser.serving(stderr=log, JAX_LOG_COMPILES='1') as (address, pid),
  ):
    with browser.showing(address) as page:
      report('just started', drop(page, path))
      wait_until_ready(log)
      page.driver.get(address)
      report('in use', drop(page, path))
      report('pinned', pin(page))
    for index in range(NUM_PHOTOGRAPHS):
      start = time.perf_counter()
      colour(address, index)
      if index in (0, 9, 19, 49, 99):
        log.seek(0)
        print(
          f'{index + 1} photographs: {resident(pid):.0f} MiB, '
          f'{log.read().count("Finished XLA compilation")} compilations, '
          f'the last photograph took {time.perf_counter() - start:.2f} s'
        )


if __name__ == '__main__':
  main()
