"""All that one sample depends on, besides photograph and weights."""

import dataclasses
import operator
import re
from typing import Any

from pic_jax.photos import hint_points, options

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

  def settings(self, saturation: float = 1.0) -> options.Settings:
    """The same as the command line has it."""
    return options.Settings(
      samples=[self.sample],
      seed=self.seed,
      temperature=self.temperature,
      saturation=saturation,
    )


def pins_from_json(pins: Any) -> Pins:
  """Checks [[x, y, '#rrggbb'], ...], pixels of the upright photograph.

  Raises:
    TypeError, ValueError: it is none of that.
  """
  if len(pins) > MAX_PINS:
    raise ValueError(f'at most {MAX_PINS} pins, got {len(pins)}.')
  points = []
  for x, y, colour in pins:
    if not re.fullmatch(r'#[0-9a-f]{6}', colour):
      raise ValueError(f'a pin has a colour #rrggbb, got {colour!a:.20}.')
    rgb = tuple(bytes.fromhex(colour[1:]))
    place = operator.index(x), operator.index(y)
    points.append(hint_points.Point(*place, rgb))
  return tuple(points)
