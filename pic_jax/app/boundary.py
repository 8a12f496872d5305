"""Checks of the requests that browsers send, and responses to bad requests."""

import asyncio
import dataclasses
import ipaddress
import json
import re
import time
import traceback
import urllib.parse
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pic_jax.app import studio, worker
from pic_jax.runtime import errors

# Largest body of a request in bytes. Only uploads of photographs may be larger,
# see `studio.MAX_BYTES`.
MAX_REQUEST_BYTES = 1_000_000
# Longest wait for the next part of a body, in seconds.
SILENT_SECONDS = 30.0
# Smallest mean rate of a body, in bytes per second. The first `SILENT_SECONDS`
# do not count.
LEAST_RATE = 1000
# Headers of every response.
HEADERS = (
  (b'cache-control', b'no-store'),
  (
    b'content-security-policy',
    b"default-src 'none'; script-src 'self'; style-src 'self'; "
    b"connect-src 'self'; img-src 'self' data: blob:; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'",
  ),
  (b'cross-origin-resource-policy', b'same-origin'),
  (b'referrer-policy', b'no-referrer'),
  (b'x-content-type-options', b'nosniff'),
)


class RequestError(ValueError):
  """A malformed request, which the page would not send."""


class TooLargeError(ValueError):
  """A request whose body is too long."""


class SilentError(TimeoutError):
  """A request whose body stopped arriving, or arrives too slowly."""


# HTTP status for each type of exception that a request may raise.
STATUSES = {
  RequestError: 400,
  TooLargeError: 413,
  studio.GoneError: 404,
  errors.UserError: 400,
  errors.RunError: 422,
  worker.BusyError: 503,
  SilentError: 408,
  ClientDisconnect: 400,  # nobody reads this response
}


@dataclasses.dataclass(frozen=True)
class Site:
  """Host names under which the page may be requested.

  Attributes:
    host: host name or address on which the server listens.
    allowed: other names that the user has allowed, such as names of this
      machine or of a proxy in front of it.
  """

  host: str
  allowed: tuple[str, ...] = ()

  def has(self, netloc: str) -> bool:
    """Returns whether a request's 'host:port' is acceptable.

    An IP address is always acceptable, because DNS rebinding (see `SameSite`)
    needs a host name.
    """
    name = hostname(netloc)
    if name in ('localhost', self.host.lower()) or self.allows(netloc):
      return True
    try:
      return bool(ipaddress.ip_address(name))
    except ValueError:
      return False

  def allows(self, netloc: str) -> bool:
    """Returns whether the name in 'name:port' is in `allowed`."""
    return hostname(netloc) in {name.lower() for name in self.allowed}


def hostname(netloc: str) -> str:
  """Returns the name in 'name:port' in lower case, or '' if there is none."""
  try:
    return urllib.parse.urlsplit(f'//{netloc}').hostname or ''
  except ValueError:
    return ''


class SameSite:
  """ASGI application that refuses requests from pages of other sites.

  There are two attacks. A malicious site may let its name resolve to this
  machine (DNS rebinding); the header Host then holds the site's name. Or a page
  of the site may send requests to this server; the header Origin then holds the
  site's name.

  Behind a proxy, Origin may hold the proxy's name and Host this server's name.
  The user must then allow the proxy's name.

  All responses get the headers `HEADERS`.
  """

  def __init__(self, app: ASGIApp, site: Site):
    """Wraps an application.

    Args:
      app: application that answers the accepted requests.
      site: names under which requests are accepted.
    """
    self._app = app
    self._site = site

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    app = self._app
    if scope['type'] == 'http':
      headers = dict(scope['headers'])
      host = headers.get(b'host', b'').decode('latin-1')
      origin_url = headers.get(b'origin', b'').decode('latin-1')
      # Browsers request most files of the page without Origin. Then only Host
      # is checked.
      origin = origin_url.partition('://')[2] if origin_url else host
      if not self._site.has(host):
        app = refusal(
          f'{host!a} is not a host name of this app.{remedy(host)}', 403
        )
      elif origin != host and not self._site.allows(origin):
        app = refusal(f'Another site sent this request.{remedy(origin)}', 403)

    async def send_with_headers(message: Message) -> None:
      if message['type'] == 'http.response.start':
        message['headers'] = [*message['headers'], *HEADERS]
      await send(message)

    await app(scope, receive, send_with_headers)


def remedy(netloc: str) -> str:
  """Returns a sentence that says how the user can allow a host name.

  Args:
    netloc: 'name:port' of the refused request.

  Returns:
    A space and the sentence, or '' if `netloc` has no valid name.
  """
  name = hostname(netloc)
  if not re.fullmatch(r'[a-z0-9.-]{1,253}', name):
    return ''
  return f' If it is yours, start `pic-jax app --allow {name}`.'


def refusal(text: str, status: int) -> Response:
  """Returns a response with an error message that the page shows."""
  return JSONResponse({'error': text}, status)


async def explain(_: Request, error: Exception) -> Response:
  """Returns the response to a request that raised an exception."""
  return refusal(*reason_and_status(error))


async def read_body(request: Request, max_bytes: int) -> bytes:
  """Reads the body of a request, if it is not too long.

  Raises:
    TooLargeError: if it has more than `max_bytes` bytes.
    SilentError: if no part of it arrives for `SILENT_SECONDS`, or if it arrives
      more slowly than `LEAST_RATE` allows.
  """
  parts, length = [], 0
  start = time.monotonic()
  stream = request.stream()
  while True:
    elapsed = time.monotonic() - start
    seconds_left = SILENT_SECONDS + length / LEAST_RATE - elapsed
    try:
      part = await asyncio.wait_for(
        anext(stream), min(SILENT_SECONDS, max(0.0, seconds_left))
      )
    except StopAsyncIteration:
      break
    # A client that is gone or too slow must not block other uploads.
    except TimeoutError:
      raise SilentError(
        f'The upload stopped for {SILENT_SECONDS:g} s, or was too slow. Please '
        'send it again.'
      ) from None
    length += len(part)
    if length > max_bytes:
      raise TooLargeError(
        f'More than {max_bytes:,} bytes were sent. Please send a smaller file.'
      )
    parts.append(part)
  return b''.join(parts)


async def read_json(request: Request, parse: Callable[[Any], Any]) -> Any:
  """Reads the JSON body of a request.

  Args:
    request: the request.
    parse: function that converts the JSON value. It may raise a `LookupError`,
      `TypeError` or `ValueError` if the value is wrong.

  Returns:
    The result of `parse`.

  Raises:
    RequestError: if the body is not JSON or `parse` refuses it.
    TooLargeError, SilentError: see `read_body`.
  """
  body = await read_body(request, MAX_REQUEST_BYTES)
  try:
    return parse(json.loads(body))
  except (LookupError, TypeError, ValueError, RecursionError) as error:
    raise RequestError(f'The request is not valid: {error}') from None


def reason_and_status(error: Exception) -> tuple[str, int]:
  """Returns the message for the page and the HTTP status of an exception.

  The traceback of an unexpected exception is printed to the terminal.
  """
  if isinstance(error, HTTPException):
    return error.detail, error.status_code
  for kind, status in STATUSES.items():
    if isinstance(error, kind):
      return str(error), status
  traceback.print_exception(error)
  return 'The program failed. Its terminal shows the reason.', 500
