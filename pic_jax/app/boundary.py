"""Checks of requests from a browser, and error responses."""

import asyncio
import dataclasses
import ipaddress
import json
import re
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

MAX_REQUEST_BYTES = 1_000_000  # of anything but a photograph
SILENT_SECONDS = 30.0  # between two parts of a body
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
  """A request that this page does not send; the text says what is wrong."""


class TooLargeError(ValueError):
  """A body that is longer than anything of its kind."""


class SilentError(TimeoutError):
  """A body of which nothing more comes."""


# What a request may fail by, with the status of the answer.
STATUSES = {
  RequestError: 400,
  TooLargeError: 413,
  studio.GoneError: 404,
  errors.UserError: 400,
  errors.RunError: 422,
  worker.BusyError: 503,
  SilentError: 408,
  ClientDisconnect: 400,  # in the middle of a file: nobody reads the answer
}


@dataclasses.dataclass(frozen=True)
class Site:
  """Names under which the page may be asked for.

  Attributes:
    host: where it listens.
    allowed: other names, of this machine or of a proxy in front of it.
  """

  host: str
  allowed: tuple[str, ...] = ()

  def has(self, netloc: str) -> bool:
    """Whether 'name:port' is a name of the page, or any address.

    Somebody who asks by an address needed no name that resolves to it.
    """
    name = hostname(netloc)
    if name in ('localhost', self.host.lower()) or self.allows(netloc):
      return True
    try:
      return bool(ipaddress.ip_address(name))
    except ValueError:
      return False

  def allows(self, netloc: str) -> bool:
    """Whether this is one of the other names, at any port."""
    return hostname(netloc) in {name.lower() for name in self.allowed}


def hostname(netloc: str) -> str:
  """The name in 'name:port', in lower case; '' if there is none."""
  try:
    return urllib.parse.urlsplit(f'//{netloc}').hostname or ''
  except ValueError:
    return ''


class SameSite:
  """Refuses what other sites' pages send through a browser.

  A stranger's page may have its name resolve to this machine: then Host is the
  stranger's name. It may also send a request here: then Origin is. A proxy may
  pass on its own name as Origin, and ours as Host: it has to be allowed. Every
  answer gets `HEADERS`.
  """

  def __init__(self, app: ASGIApp, site: Site):
    self._app = app
    self._site = site

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    app = self._app
    if scope['type'] == 'http':
      headers = dict(scope['headers'])
      host = headers.get(b'host', b'').decode('latin-1')
      origin = headers.get(b'origin', b'').decode('latin-1')
      origin = origin.partition('://')[2] if origin else host
      if not self._site.has(host):
        app = refusal(f'{host!a} is no name of this page{remedy(host)}.', 403)
      elif origin != host and not self._site.allows(origin):
        app = refusal(f'Another site asked for this{remedy(origin)}.', 403)

    async def send_with_headers(message: Message) -> None:
      if message['type'] == 'http.response.start':
        message |= {'headers': [*message['headers'], *HEADERS]}
      await send(message)

    await app(scope, receive, send_with_headers)


def remedy(netloc: str) -> str:
  """Remedy if the user owns the host name."""
  name = hostname(netloc)
  if not re.fullmatch(r'[a-z0-9.-]{1,253}', name):
    return ''
  return f'; if it is yours, start `pic-jax app --allow {name}`'


def refusal(text: str, status: int) -> Response:
  """An error that the page shows."""
  return JSONResponse({'error': text}, status)


async def explain(_: Request, error: Exception) -> Response:
  """Every failure is one line for the page."""
  return refusal(*reason_and_status(error))


async def read_body(request: Request, max_bytes: int) -> bytes:
  """Reads a body, and never more than `max_bytes` of it."""
  parts, length = [], 0
  stream = request.stream()
  while True:
    try:
      part = await asyncio.wait_for(anext(stream), SILENT_SECONDS)
    except StopAsyncIteration:
      break
    except TimeoutError:  # a vanished client must not hold an upload slot
      raise SilentError(
        f'Nothing more came for {SILENT_SECONDS:g} s: send it again.'
      ) from None
    length += len(part)
    if length > max_bytes:
      raise TooLargeError(f'More than {max_bytes:,} bytes; scale it down.')
    parts.append(part)
  return b''.join(parts)


async def read_json(request: Request, parse: Callable[[Any], Any]) -> Any:
  """Reads JSON and makes of it what is asked for."""
  body = await read_body(request, MAX_REQUEST_BYTES)
  try:
    return parse(json.loads(body))
  except (LookupError, TypeError, ValueError, RecursionError) as error:
    raise RequestError(f'A request that cannot be read: {error}') from None


def reason_and_status(error: Exception) -> tuple[str, int]:
  """The line that the page shows; what nobody foresaw goes to the terminal."""
  if isinstance(error, HTTPException):
    return error.detail, error.status_code
  for kind, status in STATUSES.items():
    if isinstance(error, kind):
      return str(error), status
  traceback.print_exception(error)
  return 'The program failed; its terminal says where.', 500
