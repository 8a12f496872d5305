"""Recommended settings for photographs, used where the user chooses none.

Published weights hold it as one JSON entry of their file's metadata.
"""

import dataclasses
import json
import math
from typing import Any

from pic_jax.runtime import errors

KEY = 'recommended_sampling'


@dataclasses.dataclass(frozen=True)
class RecommendedSampling:
  """Settings for photographs; the defaults give exact samples.

  Attributes:
    temperature: below 1 gives calmer colours.
    fine_temperature: temperature of the finer levels; None for `temperature`.
    guidance: strength of guidance by the embedding.
    prior_exponent: exponent of the prior that guidance divides by.
    saturation: factor of the sampled chroma.
  """

  temperature: float = 1.0
  fine_temperature: float | None = None
  guidance: float = 0.0
  prior_exponent: float = 0.0
  saturation: float = 1.0

  @classmethod
  def from_values(cls, values: dict[str, Any]) -> 'RecommendedSampling':
    """Checks names and values.

    Raises:
      UserError: an unknown name, or a value that is not a number >= 0.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    for name, value in values.items():
      if name not in names:
        raise errors.UserError(
          f'Recommended sampling has {", ".join(names)}, got {name!r}.'
        )
      is_number = isinstance(value, int | float) and math.isfinite(value)
      if value is not None and not (is_number and value >= 0):
        raise errors.UserError(
          f'Recommended {name} must be a number from 0 on, got {value!r}.'
        )
    return cls(**values)

  def to_json(self) -> str:
    """The metadata entry."""
    return json.dumps(dataclasses.asdict(self))


def from_flag(assignments: list[str]) -> RecommendedSampling:
  """Parses NAME=NUMBER assignments.

  Raises:
    UserError: not an assignment; see also `RecommendedSampling.from_values`.
  """
  values = {}
  for assignment in assignments:
    name, _, text = assignment.partition('=')
    try:
      values[name] = float(text)
    except ValueError:
      raise errors.UserError(
        f'--recommend must hold NAME=NUMBER, got {assignment!r}.'
      ) from None
  return RecommendedSampling.from_values(values)
