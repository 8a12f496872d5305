"""HTTP interface of the web app.

Nothing is written to disk. A photograph is uploaded as the body of a request.
A sample is sent as a line of JSON as soon as it is drawn. When the browser
closes the connection, no more samples are drawn for this request.
"""

import asyncio
import base64
import contextlib
import json
import operator
import pathlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pic_jax.app import (
  boundary,
  opened_photograph,
  sample_recipe,
  screen_view,
  studio,
  worker,
)

HERE = pathlib.Path(__file__).parent
MEDIA_TYPES = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.jpg': 'image/jpeg',
}
FILES = {
  path.name: path for path in HERE.iterdir() if path.suffix in MEDIA_TYPES
}
# Seconds without requests after which the programs for the next shape of
# photographs are compiled in advance.
QUIET_SECONDS = 1.0
# Largest number of uploads at the same time. Each may have up to 200 MB.
MAX_UPLOADS = 2


class Server:
  """The server's routes and its worker threads.

  Attributes:
    app: the ASGI application.
  """

  def __init__(self, the_studio: studio.Studio, site: boundary.Site):
    """Creates the routes and starts the worker threads.

    Args:
      the_studio: the photographs in memory. No other server may use it, because
        all samples must be drawn in one thread.
      site: host names under which the page may be requested.
    """
    self._studio = the_studio
    # Draws samples. Its steps may take minutes while a program is compiled, so
    # requests that need no new sample use one of the other threads.
    self._drawer = worker.Worker()
    # Reads photographs and pins, and shows samples that have been drawn.
    self._reader = worker.Worker()
    # Saves samples that have been drawn.
    self._saver = worker.Worker()
    self._uploads = asyncio.Semaphore(MAX_UPLOADS)
    routes = [
      Route('/', self.file),
      Route('/model', self.model),
      Route('/photographs', self.open, methods=['POST']),
      Route('/photographs/{id}', self.describe),
      Route('/photographs/{id}/draw', self.draw, methods=['POST']),
      Route('/photographs/{id}/view', self.view, methods=['POST']),
      Route('/photographs/{id}/palette', self.palette, methods=['POST']),
      Route('/photographs/{id}/order', self.order, methods=['POST']),
      Route('/photographs/{id}/pins', self.pins, methods=['POST']),
      Route('/photographs/{id}/save', self.save, methods=['POST']),
      Route('/{name}', self.file),
    ]
    error_types = (*boundary.STATUSES, HTTPException, Exception)
    handlers = dict.fromkeys(error_types, boundary.explain)
    app = Starlette(routes=routes, exception_handlers=handlers)
    self.app = boundary.SameSite(app, site)

  def warm_up(self) -> None:
    """Compiles the model's programs while there are no requests."""
    self._studio.warm_up(
      lambda *_: self._drawer.wait_until_quiet(QUIET_SECONDS)
    )

  async def file(self, request: Request) -> Response:
    """Serves the page and its files."""
    name = request.path_params.get('name', 'page.html')
    if name not in FILES:
      raise HTTPException(404)
    media_type = MEDIA_TYPES[FILES[name].suffix]
    return Response(FILES[name].read_bytes(), media_type=media_type)

  async def model(self, _: Request) -> Response:
    """Returns the facts about the model that the page needs at its start."""
    return JSONResponse(self._studio.facts())

  async def open(self, request: Request) -> Response:
    """Opens the photograph whose file is the body of the request."""
    async with self._uploads:
      data = await boundary.read_body(request, studio.MAX_BYTES)
      opened = await self._reader.call(self._studio.open, data)
    return JSONResponse(opened.facts(), 201)

  async def describe(self, request: Request) -> Response:
    """Returns the facts about a photograph that was opened earlier."""
    return JSONResponse(self._find(request).facts())

  async def draw(self, request: Request) -> Response:
    """Draws samples, and sends each sample as a line as soon as it is ready."""
    opened = self._find(request)
    recipes = await boundary.read_json(
      request, lambda asked: screen_view.recipes_from_json(asked['recipes'])
    )
    lines = self._lines(request, opened, recipes)
    return StreamingResponse(lines, media_type='application/x-ndjson')

  async def _lines(
    self,
    request: Request,
    opened: opened_photograph.Opened,
    recipes: tuple[sample_recipe.Recipe, ...],
  ) -> AsyncIterator[str]:
    """Yields the lines of the response to `draw`.

    Each line is a JSON object of one of three kinds:
    * {'compiling': true}, before a program is compiled, which takes long;
    * a sample: the numbers that `Studio.show` returns, and 'picture', a JPEG in
      base64;
    * {'error': message}, which is the last line.
    """
    if not self._studio.sampler.is_ready(opened, recipes[0]):
      yield json.dumps({'compiling': True}) + '\n'
    steps = (self._studio.show(opened, recipe) for recipe in recipes)
    try:
      async with contextlib.aclosing(self._drawer.results(steps)) as results:
        async for numbers, data in results:
          # Not all servers stop this generator when the connection is closed.
          if await request.is_disconnected():
            return
          line = numbers | {'picture': base64.b64encode(data).decode()}
          yield json.dumps(line) + '\n'
    except Exception as error:  # status 200 has been sent already
      yield json.dumps({'error': boundary.reason_and_status(error)[0]}) + '\n'

  async def view(self, request: Request) -> Response:
    """Returns a picture, or a part of it, at the size of the screen."""
    opened = self._find(request)
    asked = await boundary.read_json(request, screen_view.ViewRequest.from_json)
    thread = self._thread_for(opened, [asked.recipe] if asked.recipe else [])
    data = await thread.call(self._studio.renderer.view, opened, asked)
    return Response(data, media_type='image/jpeg')

  async def palette(self, request: Request) -> Response:
    """Returns the colours that a pin at a spot may have."""
    opened = self._find(request)
    spot, pins, recipes = await boundary.read_json(request, _palette_request)
    thread = self._thread_for(opened, recipes)
    colours = await thread.call(
      self._studio.pin_tools.palette, opened, spot, pins, recipes=recipes
    )
    return JSONResponse(colours)

  async def order(self, request: Request) -> Response:
    """Orders samples so that each differs most from those before it."""
    opened = self._find(request)
    recipes = await boundary.read_json(
      request, lambda asked: screen_view.recipes_from_json(asked['recipes'])
    )
    return JSONResponse(
      await self._drawer.call(
        self._studio.sampler.by_difference, opened, recipes
      )
    )

  async def pins(self, request: Request) -> Response:
    """Reads the pins in a file of hints, which is the body of the request."""
    opened = self._find(request)
    data = await boundary.read_body(request, boundary.MAX_REQUEST_BYTES)
    pins_and_notes = await self._reader.call(
      self._studio.pin_tools.read, opened, data
    )
    return JSONResponse(pins_and_notes)

  async def save(self, request: Request) -> Response:
    """Returns a file with versions at the photograph's own size."""
    opened = self._find(request)
    asked = await boundary.read_json(request, screen_view.SaveRequest.from_json)
    is_drawn = all(recipe in opened.sample_sets for recipe in asked.recipes)
    thread = self._saver if is_drawn else self._drawer
    data = await thread.call(self._studio.renderer.save, opened, asked)
    return Response(data, media_type=asked.media_type)

  def _thread_for(
    self,
    opened: opened_photograph.Opened,
    recipes: Iterable[sample_recipe.Recipe],
  ) -> worker.Worker:
    """Returns the thread for a request that shows samples.

    It is `_drawer` only if a sample has not been drawn yet.
    """
    is_drawn = all(recipe in opened.sample_sets for recipe in recipes)
    return self._reader if is_drawn else self._drawer

  def _find(self, request: Request) -> opened_photograph.Opened:
    """Returns the photograph whose id is in the path of a request."""
    return self._studio.find(request.path_params['id'])


def _palette_request(asked: dict[str, Any]) -> tuple:
  """Parses a request for a palette.

  Returns:
    The arguments `spot`, `pins` and `recipes` of `PinTools.palette`.

  Raises:
    LookupError, TypeError, ValueError: if a field is missing or wrong.
  """
  spot = operator.index(asked['x']), operator.index(asked['y'])
  recipes = asked['recipes'][: screen_view.MAX_SAMPLES]
  pins = sample_recipe.pins_from_json(asked['pins'])
  return spot, pins, list(map(sample_recipe.Recipe.from_json, recipes))
