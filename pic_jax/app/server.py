"""What the page asks for, over HTTP; nothing is written to disk.

A photograph is a body of its own; samples come as lines of JSON, each as soon
as it is drawn. Whoever closes the connection ends the drawing.
"""

import asyncio
import base64
import contextlib
import ipaddress
import json
import pathlib
import traceback
import urllib.parse
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pic_jax.app import worker
from pic_jax.photos import studio
from pic_jax.runtime import errors

HERE = pathlib.Path(__file__).parent
FILES = {
  'page.html': 'text/html',
  'page.css': 'text/css',
  'keeping.js': 'text/javascript',
  'page.js': 'text/javascript',
  'requests.js': 'text/javascript',
  'stage.js': 'text/javascript',
  'state.js': 'text/javascript',
  'versions.js': 'text/javascript',
}
MAX_REQUEST_BYTES = 1_000_000  # of anything but a photograph
MAX_UPLOADS = 2  # at once: each may have 200 MB
MAX_DRAWN = 64  # samples of one request
HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
  ),
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}


class RequestError(ValueError):
  """A request that this page does not send; the text says what is wrong."""


class TooLargeError(ValueError):
  """A body that is longer than anything of its kind."""


# What a request may fail by, with the status of the answer.
STATUSES = {
  RequestError: 400,
  TooLargeError: 413,
  studio.GoneError: 404,
  errors.RunError: 422,
  worker.BusyError: 503,
  ClientDisconnect: 400,  # in the middle of a file: nobody reads the answer
}


class SameSite:
  """Refuses what other sites' pages send through a browser.

  A stranger's page may have its name resolve to this machine: then Host is the
  stranger's name. It may also send a request here: then Origin is.
  """

  def __init__(self, app: ASGIApp, host: str):
    self._app = app
    self._host = host

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    app = self._app
    if scope['type'] == 'http':
      headers = dict(scope['headers'])
      host = headers.get(b'host', b'').decode('latin-1')
      origin = headers.get(b'origin', b'').decode('latin-1')
      if not self._is_ours(host):
        app = refusal(f'{host!a} is no name of this page.', 403)
      elif origin and urllib.parse.urlsplit(origin).netloc != host:
        app = refusal('Another site asked for this.', 403)
    await app(scope, receive, send)

  def _is_ours(self, host: str) -> bool:
    try:
      name = urllib.parse.urlsplit(f'//{host}').hostname
      # Whoever says an address needed no name that resolves to it.
      return name in ('localhost', self._host) or bool(
        ipaddress.ip_address(name)
      )
    except ValueError:
      return False


def refusal(text: str, status: int) -> Response:
  """An error that the page shows."""
  return JSONResponse({'error': text}, status, HEADERS)


def picture(data: bytes, media_type: str = 'image/jpeg') -> Response:
  """A file for the page."""
  return Response(data, media_type=media_type, headers=HEADERS)


async def read_body(request: Request, max_bytes: int) -> bytes:
  """Reads a body, and never more than `max_bytes` of it."""
  parts, length = [], 0
  async for part in request.stream():
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


class Server:
  """The routes, and what they share.

  Attributes:
    app: the ASGI application.
  """

  def __init__(self, its_studio: studio.Studio, host: str):
    """Of a studio, which from now on belongs to one thread."""
    self._studio = its_studio
    self._worker = worker.Worker()
    self._uploads = asyncio.Semaphore(MAX_UPLOADS)
    routes = [
      Route('/', self.file),
      Route('/model', self.model),
      Route('/photographs', self.open, methods=['POST']),
      Route('/photographs/{id}', self.describe),
      Route('/photographs/{id}/grey', self.grey),
      Route('/photographs/{id}/original', self.original),
      Route('/photographs/{id}/draw', self.draw, methods=['POST']),
      Route('/photographs/{id}/order', self.order, methods=['POST']),
      Route('/photographs/{id}/save', self.save, methods=['POST']),
      Route('/{name}', self.file),
    ]
    handlers = {
      kind: self.explain for kind in (*STATUSES, HTTPException, Exception)
    }
    self.app = Starlette(
      routes=routes,
      exception_handlers=handlers,
      middleware=[Middleware(SameSite, host=host)],
    )

  def warm_up(self) -> None:
    """Prepares the model; meanwhile, those who ask go first."""
    self._studio.warm_up(self._worker.wait_until_quiet)

  async def explain(self, _: Request, error: Exception) -> Response:
    """Every failure is one line for the page."""
    if isinstance(error, HTTPException):
      return refusal(error.detail, error.status_code)
    return refusal(*reason_and_status(error))

  async def file(self, request: Request) -> Response:
    """The page itself, and what it is made of."""
    name = request.path_params.get('name', 'page.html')
    if name not in FILES:
      raise HTTPException(404)
    return picture((HERE / name).read_bytes(), FILES[name])

  async def model(self, _: Request) -> Response:
    """What the page must know before there is a photograph."""
    return JSONResponse(self._studio.facts(), headers=HEADERS)

  async def open(self, request: Request) -> Response:
    """Takes a photograph; the body is the file."""
    async with self._uploads:
      data = await read_body(request, studio.MAX_BYTES)
      opened = await self._worker.call(self._studio.open, data)
    return JSONResponse(opened.facts(), 201, headers=HEADERS)

  async def describe(self, request: Request) -> Response:
    """What there is to know of a photograph, for a page that was reloaded."""
    opened = await self._find(request)
    return JSONResponse(opened.facts(), headers=HEADERS)

  async def grey(self, request: Request) -> Response:
    """The photograph without its colours."""
    opened = await self._find(request)
    return picture(await self._worker.call(self._studio.grey, opened))

  async def original(self, request: Request) -> Response:
    """The photograph in its own colours."""
    opened = await self._find(request)
    return picture(await self._worker.call(self._studio.original, opened))

  async def draw(self, request: Request) -> Response:
    """Draws samples; answers with a line for each, when it is ready."""
    opened = await self._find(request)
    recipes, saturation = await read_json(request, _several)
    return StreamingResponse(
      self._lines(request, opened, recipes, saturation),
      media_type='application/x-ndjson',
      headers=HEADERS,
    )

  async def _lines(
    self,
    request: Request,
    opened: studio.Opened,
    recipes: list[studio.Recipe],
    saturation: float,
  ) -> AsyncIterator[str]:
    steps = (
      self._studio.show(opened, recipe, saturation) for recipe in recipes
    )
    try:
      async with contextlib.aclosing(self._worker.results(steps)) as results:
        async for numbers, data in results:
          # Not all servers stop this when the page has left.
          if await request.is_disconnected():
            return
          line = numbers | {'picture': base64.b64encode(data).decode()}
          yield json.dumps(line) + '\n'
    except Exception as error:  # the status is sent: say it in a line
      yield json.dumps({'error': reason_and_status(error)[0]}) + '\n'

  async def order(self, request: Request) -> Response:
    """Positions of samples, the next one always the most different."""
    opened = await self._find(request)
    recipes, _ = await read_json(request, _several)
    order = await self._worker.call(self._studio.by_difference, opened, recipes)
    return JSONResponse(order, headers=HEADERS)

  async def save(self, request: Request) -> Response:
    """A sample at the photograph's own size, as a file."""
    opened = await self._find(request)
    recipes, saturation, form = await read_json(
      request, lambda asked: (*_several(asked), studio.FORMATS[asked['format']])
    )
    data = await self._worker.call(
      self._studio.save, opened, recipes[0], saturation, form
    )
    return picture(data, f'image/{form.lower()}')

  async def _find(self, request: Request) -> studio.Opened:
    key = request.path_params['id']
    return await self._worker.call(self._studio.find, key)


def reason_and_status(error: Exception) -> tuple[str, int]:
  """The line that the page shows; what nobody foresaw goes to the terminal."""
  for kind, status in STATUSES.items():
    if isinstance(error, kind):
      return str(error), status
  traceback.print_exception(error)
  return 'The program failed; its terminal says where.', 500


def _several(asked: dict[str, Any]) -> tuple[list[studio.Recipe], float]:
  """The samples that a request is about, and their saturation."""
  recipes = [studio.Recipe.from_json(fields) for fields in asked['recipes']]
  if not 0 < len(recipes) <= MAX_DRAWN:
    raise ValueError(f'from 1 to {MAX_DRAWN} samples, got {len(recipes)}.')
  saturation = float(asked['saturation'])
  recipes[0].settings(saturation)  # refuses impossible ones
  return recipes, saturation
