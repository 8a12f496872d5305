"""What the page asks for, over HTTP; nothing is written to disk.

A photograph is a body of its own; samples come as lines of JSON, each as soon
as it is drawn. Whoever closes the connection ends the drawing.
"""

import asyncio
import base64
import contextlib
import dataclasses
import json
import operator
import pathlib
from collections.abc import AsyncIterator, Callable
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
  studio,
  worker,
)

HERE = pathlib.Path(__file__).parent
MEDIA_TYPES = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
}
FILES = {
  path.name: path for path in HERE.iterdir() if path.suffix in MEDIA_TYPES
}
MAX_UPLOADS = 2  # at once: each may have 200 MB
MAX_DRAWN = 64  # samples of one request


class Server:
  """The routes, and what they share.

  Attributes:
    app: the ASGI application.
  """

  def __init__(self, studio: studio.Studio, host: str):
    """Of a studio, which from now on belongs to one thread."""
    self._studio = studio
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
      Route('/photographs/{id}/palette', self.palette, methods=['POST']),
      Route('/photographs/{id}/order', self.order, methods=['POST']),
      Route('/photographs/{id}/save', self.save, methods=['POST']),
      Route('/{name}', self.file),
    ]
    kinds = (*boundary.STATUSES, HTTPException, Exception)
    handlers = dict.fromkeys(kinds, boundary.explain)
    app = Starlette(routes=routes, exception_handlers=handlers)
    self.app = boundary.SameSite(app, host)

  def warm_up(self) -> None:
    """Prepares the model; meanwhile, those who ask go first."""
    self._studio.warm_up(self._worker.wait_until_quiet)

  async def file(self, request: Request) -> Response:
    """The page itself, and what it is made of."""
    name = request.path_params.get('name', 'page.html')
    if name not in FILES:
      raise HTTPException(404)
    media_type = MEDIA_TYPES[FILES[name].suffix]
    return Response(FILES[name].read_bytes(), media_type=media_type)

  async def model(self, _: Request) -> Response:
    """What the page must know before there is a photograph."""
    return JSONResponse(self._studio.facts())

  async def open(self, request: Request) -> Response:
    """Takes a photograph; the body is the file."""
    async with self._uploads:
      data = await boundary.read_body(request, studio.MAX_BYTES)
      opened = await self._worker.call(self._studio.open, data)
    return JSONResponse(opened.facts(), 201)

  async def describe(self, request: Request) -> Response:
    """What there is to know of a photograph, for a page that was reloaded."""
    return JSONResponse((await self._find(request)).facts())

  async def grey(self, request: Request) -> Response:
    """The photograph without its colours."""
    data = await self._of(request, self._studio.grey)
    return Response(data, media_type='image/jpeg')

  async def original(self, request: Request) -> Response:
    """The photograph in its own colours."""
    data = await self._of(request, self._studio.original)
    return Response(data, media_type='image/jpeg')

  async def draw(self, request: Request) -> Response:
    """Draws samples; answers with a line for each, when it is ready."""
    opened = await self._find(request)
    recipes, saturation = await boundary.read_json(request, _several)
    lines = self._lines(request, opened, recipes, saturation)
    return StreamingResponse(lines, media_type='application/x-ndjson')

  async def _lines(
    self,
    request: Request,
    opened: opened_photograph.Opened,
    recipes: list[sample_recipe.Recipe],
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
      yield json.dumps({'error': boundary.reason_and_status(error)[0]}) + '\n'

  async def palette(self, request: Request) -> Response:
    """Colours that are likely at a place, the likeliest first."""
    asked = await boundary.read_json(request, _place)
    found = await self._of(request, self._studio.palette, *asked)
    return JSONResponse([dataclasses.asdict(colour) for colour in found])

  async def order(self, request: Request) -> Response:
    """Positions of samples, the next one always the most different."""
    recipes, _ = await boundary.read_json(request, _several)
    return JSONResponse(
      await self._of(request, self._studio.by_difference, recipes)
    )

  async def save(self, request: Request) -> Response:
    """A sample at the photograph's own size, as a file."""
    recipes, saturation, form = await boundary.read_json(
      request, lambda asked: (*_several(asked), studio.FORMATS[asked['format']])
    )
    data = await self._of(
      request, self._studio.save, recipes[0], saturation, form
    )
    return Response(data, media_type=f'image/{form.lower()}')

  async def _find(self, request: Request) -> opened_photograph.Opened:
    return await self._of(request, lambda opened: opened)

  async def _of(
    self, request: Request, fn: Callable[..., Any], *args: Any
  ) -> Any:
    """What a function makes of the photograph of a request."""
    key = request.path_params['id']
    return await self._worker.call(lambda: fn(self._studio.find(key), *args))


def _several(asked: dict[str, Any]) -> tuple[list[sample_recipe.Recipe], float]:
  """The samples that a request is about, and their saturation."""
  recipes = list(map(sample_recipe.Recipe.from_json, asked['recipes']))
  if not 0 < len(recipes) <= MAX_DRAWN:
    raise ValueError(f'from 1 to {MAX_DRAWN} samples, got {len(recipes)}.')
  saturation = float(asked['saturation'])
  recipes[0].settings(saturation)  # refuses impossible ones
  return recipes, saturation


def _place(asked: dict[str, Any]) -> tuple:
  """What a palette is asked for by; see `Studio.palette`."""
  place = operator.index(asked['x']), operator.index(asked['y'])
  drawn = map(sample_recipe.Recipe.from_json, asked['recipes'][:MAX_DRAWN])
  return place, sample_recipe.pins_from_json(asked['pins']), list(drawn)
