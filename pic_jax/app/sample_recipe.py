"""Recipes of samples.

Reads recipes, adjustments and pins from the page's JSON, and writes pins.
"""

import dataclasses
import operator
import re
from collections.abc import Iterable
from typing import Any

from pic_jax.photos import adjustments, hint_points, options

# Largest number of pins in a request.
MAX_PINS = 1000
Pins = tuple[hint_points.Point, ...]


@dataclasses.dataclass(frozen=True)
class Recipe:
  """Settings from which a sample of a photograph can be drawn again.

  A model, a photograph and a recipe always give the same sample, here and on
  the command line.

  Attributes:
    seed: seed of the random numbers, see `options.Settings`.
    sample: number of the sample among those of this seed.
    temperature: sampling temperature.
    pins: known colours, see `hint_points.Point`.
  """

  seed: int
  sample: int
  temperature: float
  pins: Pins

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Recipe':
    """Reads a recipe that the page sent.

    Args:
      fields: JSON object with the attributes.

    Raises:
      LookupError, TypeError, ValueError: if a field is missing or wrong.
    """
    recipe = cls(
      seed=operator.index(fields['seed']),
      sample=operator.index(fields['sample']),
      temperature=float(fields['temperature']),
      pins=pins_from_json(fields['pins']),
    )
    recipe.settings()  # raises if a number is out of range
    return recipe

  def settings(self) -> options.Settings:
    """Returns the settings for `Colorizer.draw`, without the pins."""
    return options.Settings(
      samples=options.Numbers([self.sample]),
      seed=self.seed,
      temperature=self.temperature,
    )


def adjustments_from_json(fields: dict[str, Any]) -> adjustments.Adjustments:
  """Reads adjustments that the page sent.

  Args:
    fields: JSON object {'saturation': 1, 'warmth': 0, ...} with a number for
      each field of `Adjustments`.

  Raises:
    LookupError, TypeError, ValueError: if a field is missing or wrong.
  """
  names = [field.name for field in dataclasses.fields(adjustments.Adjustments)]
  given: dict[str, Any] = {name: float(fields[name]) for name in names}
  return options.Settings(**given).adjustments


def pins_from_json(pins: Any) -> Pins:
  """Reads pins that the page sent.

  Args:
    pins: JSON list of {'x': 3, 'y': 4, 'color': '#rrggbb', 'size': 'M'}. The
      position is in pixels of the upright photograph. The size '' means the
      default size.

  Raises:
    LookupError, TypeError, ValueError: if `pins` is not a list of valid pins.
  """
  if len(pins) > MAX_PINS:
    raise ValueError(f'there can be at most {MAX_PINS} pins, got {len(pins)}.')
  points = []
  for pin in pins:
    color, size = pin['color'], pin['size']
    if not re.fullmatch(r'#[0-9a-f]{6}', color):
      raise ValueError(f'a colour must be #rrggbb, got {color!a:.20}.')
    if size not in hint_points.SIZES:
      raise ValueError(f'a size must be S, M, L or empty, got {size!a:.20}.')
    x, y = operator.index(pin['x']), operator.index(pin['y'])
    red, green, blue = bytes.fromhex(color[1:])
    points.append(hint_points.Point(x, y, (red, green, blue), size))
  return tuple(points)


def pins_to_json(points: Iterable[hint_points.Point]) -> list[dict[str, Any]]:
  """Converts pins to the JSON list that `pins_from_json` reads."""
  return [
    {
      'x': int(point.x),
      'y': int(point.y),
      'color': f'#{bytes(point.rgb).hex()}',
      'size': point.size,
    }
    for point in points
  ]
