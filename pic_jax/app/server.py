"""The HTTP interface of the page; nothing is written to disk.

A photograph is the body of a request; samples are lines of JSON, each sent as
soon as it is drawn. Closing the connection ends the drawing.
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
QUIET_SECONDS = 1.0  # before each shape that nobody waits for
MAX_UPLOADS = 2  # at once: each may have 200 MB


class Server:
  """The routes, and what they share.

  Attributes:
    app: the ASGI application.
  """

  def __init__(self, photographs: studio.Studio, site: boundary.Site):
    """Takes a studio, for the threads of this server, and its names."""
    self._studio = photographs
    self._drawer = worker.Worker()  # draws: its steps may take minutes
    # All else never waits for these.
    self._reader, self._saver = worker.Worker(), worker.Worker()
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
    kinds = (*boundary.STATUSES, HTTPException, Exception)
    handlers = dict.fromkeys(kinds, boundary.explain)
    app = Starlette(routes=routes, exception_handlers=handlers)
    self.app = boundary.SameSite(app, site)

  def warm_up(self) -> None:
    """Compiles the model's programs; requests take precedence."""
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
    """Facts about the model, which the page reads first."""
    return JSONResponse(self._studio.facts())

  async def open(self, request: Request) -> Response:
    """Takes a photograph; the body is the file."""
    async with self._uploads:
      data = await boundary.read_body(request, studio.MAX_BYTES)
      opened = await self._reader.call(self._studio.open, data)
    return JSONResponse(opened.facts(), 201)

  async def describe(self, request: Request) -> Response:
    """Facts about a photograph, for a page that was reloaded."""
    return JSONResponse(self._find(request).facts())

  async def draw(self, request: Request) -> Response:
    """Draws samples; answers with a line for each, when it is ready."""
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
    if not self._studio.is_ready(opened, recipes[0]):
      yield json.dumps({'compiling': True}) + '\n'
    steps = (self._studio.show(opened, recipe) for recipe in recipes)
    try:
      async with contextlib.aclosing(self._drawer.results(steps)) as results:
        async for numbers, data in results:
          # Not all servers stop this when the page has left.
          if await request.is_disconnected():
            return
          line = numbers | {'picture': base64.b64encode(data).decode()}
          yield json.dumps(line) + '\n'
    except Exception as error:  # the status is sent: say it in a line
      yield json.dumps({'error': boundary.reason_and_status(error)[0]}) + '\n'

  async def view(self, request: Request) -> Response:
    """A picture, or a part of it, as the screen shows it."""
    opened = self._find(request)
    asked = await boundary.read_json(request, screen_view.Asked.from_json)
    thread = self._thread_for(opened, [asked.recipe] if asked.recipe else [])
    data = await thread.call(self._studio.view, opened, asked)
    return Response(data, media_type='image/jpeg')

  async def palette(self, request: Request) -> Response:
    """Colours for a place, each as it looks there and as a pin has it."""
    opened = self._find(request)
    place, pins, recipes = await boundary.read_json(request, _place)
    thread = self._thread_for(opened, recipes)
    colours = await thread.call(
      self._studio.palette, opened, place, pins, recipes=recipes
    )
    return JSONResponse(colours)

  async def order(self, request: Request) -> Response:
    """Positions of samples, the next one always the most different."""
    opened = self._find(request)
    recipes = await boundary.read_json(
      request, lambda asked: screen_view.recipes_from_json(asked['recipes'])
    )
    return JSONResponse(
      await self._drawer.call(self._studio.by_difference, opened, recipes)
    )

  async def pins(self, request: Request) -> Response:
    """Pins of a file, which is the body, as the command line reads it."""
    opened = self._find(request)
    data = await boundary.read_body(request, boundary.MAX_REQUEST_BYTES)
    found = await self._reader.call(self._studio.read_pins, opened, data)
    return JSONResponse(found)

  async def save(self, request: Request) -> Response:
    """Samples at the photograph's own size, as a file."""
    opened = self._find(request)
    asked = await boundary.read_json(request, screen_view.Saved.from_json)
    is_drawn = all(recipe in opened.sample_sets for recipe in asked.recipes)
    thread = self._saver if is_drawn else self._drawer
    data = await thread.call(self._studio.save, opened, asked)
    return Response(data, media_type=asked.media_type)

  def _thread_for(
    self,
    opened: opened_photograph.Opened,
    recipes: Iterable[sample_recipe.Recipe],
  ) -> worker.Worker:
    """Only what is not drawn yet has to wait for the model."""
    is_drawn = all(recipe in opened.sample_sets for recipe in recipes)
    return self._reader if is_drawn else self._drawer

  def _find(self, request: Request) -> opened_photograph.Opened:
    return self._studio.find(request.path_params['id'])


def _place(asked: dict[str, Any]) -> tuple:
  """Parses the request for a palette; see `Studio.palette`."""
  place = operator.index(asked['x']), operator.index(asked['y'])
  recipes = asked['recipes'][: screen_view.MAX_SAMPLES]
  drawn = map(sample_recipe.Recipe.from_json, recipes)
  return place, sample_recipe.pins_from_json(asked['pins']), list(drawn)
