"""Starts the server of the web app, and compiles its programs in advance."""

import os
import socket
import sys
import threading
import time
import webbrowser

import uvicorn

from pic_jax.app import boundary, server, studio
from pic_jax.photos import colorize
from pic_jax.runtime import errors, terminal


def listen(host: str, port: int) -> socket.socket:
  """Opens a listening socket.

  Args:
    host: host name or address of this machine.
    port: number of the port; 0 for any free port.

  Raises:
    UserError: if the port is in use, or `host` does not belong to this machine.
  """
  family = socket.AF_INET6 if ':' in host else socket.AF_INET
  try:
    return socket.create_server((host, port), family=family)
  except (OSError, OverflowError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise errors.UserError(
      f'The server cannot listen on --host={host} --port={port} ({reason}). '
      'Use --port=0 for any free port.'
    ) from None


def build_server(web_app: server.Server) -> uvicorn.Server:
  """Builds the HTTP server without starting it."""
  config = uvicorn.Config(
    web_app.app,
    log_level='warning',
    ws='none',
    timeout_graceful_shutdown=1,
  )
  return uvicorn.Server(config)


def run(
  source: str, site: boundary.Site, port: int, *, open_browser: bool
) -> None:
  """Serves the page until a signal stops the process.

  Args:
    source: trained model, see `Colorizer.load`.
    site: address to listen on, and host names under which browsers may request
      the page.
    port: number of the port; 0 for any free port.
    open_browser: whether to open the page in a browser.

  Raises:
    UserError: if the server cannot listen on this address and port.
    RunError: if there is no usable model.
  """
  host = site.host
  with listen(host, port) as listener:
    colorizer = colorize.Colorizer.load(source)
    web_app = server.Server(studio.Studio(colorizer, source), site)
    port = listener.getsockname()[1]
    url = f'http://{f"[{host}]" if ":" in host else host}:{port}/'
    print(url, flush=True)
    terminal.say(
      "Photographs stay in this machine's memory. Ctrl-C stops the server."
    )
    # Runs in another thread, because the first photograph should not have to
    # wait for the programs of all shapes.
    threading.Thread(target=web_app.warm_up, daemon=True).start()
    if open_browser and has_display():
      webbrowser.open(url)
    build_server(web_app).run(sockets=[listener])


def warm_up(source: str) -> None:
  """Compiles all programs that the web app needs, and prints the progress.

  Args:
    source: trained model, see `Colorizer.load`.

  Raises:
    RunError: if there is no usable model.
  """
  start = time.perf_counter()
  colorizer = colorize.Colorizer.load(source)

  def report(done: int, total: int) -> None:
    if done:
      duration = terminal.format_duration(time.perf_counter() - start)
      terminal.say(f'{done} of {total} shapes are compiled after {duration}.')

  studio.Studio(colorizer, source).warm_up(report)


def has_display() -> bool:
  """Returns whether a browser would open in a window, not in the terminal."""
  names = ('DISPLAY', 'WAYLAND_DISPLAY')
  return sys.platform == 'darwin' or any(os.environ.get(name) for name in names)
