"""All that one sample depends on, besides photograph and weights."""

import dataclasses
import operator
import re
from collections.abc import Iterable
from typing import Any

from pic_jax.photos import adjustments, hint_points, options

MAX_PINS = 1000
Pins = tuple[hint_points.Point, ...]


@dataclasses.dataclass(frozen=True)
class Recipe:
  """Names a sample, here and on the command line.

  Attributes:
    seed, sample, temperature: see `options.Settings`.
    pins: colours that are known, see `hint_points.Point`.
  """

  seed: int
  sample: int
  temperature: float
  pins: Pins

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Recipe':
    """Checks what comes from a page.

    Raises:
      LookupError, TypeError, ValueError: not a recipe.
    """
    recipe = cls(
      seed=operator.index(fields['seed']),
      sample=operator.index(fields['sample']),
      temperature=float(fields['temperature']),
      pins=pins_from_json(fields['pins']),
    )
    recipe.settings()
    return recipe

  def settings(self) -> options.Settings:
    """The same as the command line has it."""
    return options.Settings(
      samples=[self.sample], seed=self.seed, temperature=self.temperature
    )


def adjustments_from_json(fields: dict[str, Any]) -> adjustments.Adjustments:
  """Checks {'saturation': 1, 'warmth': 0, ...}; all of them are there.

  Raises:
    LookupError, TypeError, ValueError: they are not.
  """
  names = [field.name for field in dataclasses.fields(adjustments.Adjustments)]
  given = {name: float(fields[name]) for name in names}
  return options.Settings(**given).adjustments


def pins_from_json(pins: Any) -> Pins:
  """Checks [{'x': 3, 'y': 4, 'color': '#rrggbb', 'size': 'M'}, ...].

  Places are pixels of the upright photograph; a size may be ''.

  Raises:
    LookupError, TypeError, ValueError: it is none of that.
  """
  if len(pins) > MAX_PINS:
    raise ValueError(f'at most {MAX_PINS} pins, got {len(pins)}.')
  points = []
  for pin in pins:
    color, size = pin['color'], pin['size']
    if not re.fullmatch(r'#[0-9a-f]{6}', color):
      raise ValueError(f'a pin has a colour #rrggbb, got {color!a:.20}.')
    if size not in hint_points.SIZES:
      raise ValueError(f'a pin has a size S, M, L or none, got {size!a:.20}.')
    x, y = operator.index(pin['x']), operator.index(pin['y'])
    rgb = tuple(bytes.fromhex(color[1:]))
    points.append(hint_points.Point(x, y, rgb, size))
  return tuple(points)


def pins_to_json(points: Iterable[hint_points.Point]) -> list[dict[str, Any]]:
  """Pins as `pins_from_json` reads them."""
  return [
    {
      'x': int(point.x),
      'y': int(point.y),
      'color': f'#{bytes(point.rgb).hex()}',
      'size': point.size,
    }
    for point in points
  ]
