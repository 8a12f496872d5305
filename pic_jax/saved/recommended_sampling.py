"""Sampling settings that are recommended for photographs.

They apply unless the user sets other values. A file of weights stores them as a
JSON entry of its metadata.
"""

import dataclasses
import json
import math
from typing import Any

from pic_jax.runtime import errors

# Key of the metadata entry.
KEY = 'recommended_sampling'


@dataclasses.dataclass(frozen=True)
class RecommendedSampling:
  """Sampling settings for photographs.

  The defaults give exact samples from the model's distribution.

  Attributes:
    temperature: sampling temperature. Values below 1 give calmer colours.
    fine_temperature: temperature of the finer levels, or None if it equals
      `temperature`.
    guidance: strength of the guidance by the embedding; 0 for none.
    prior_exponent: exponent of the prior of colours. Guidance divides the
      embedding's likelihood by the prior raised to this power.
    saturation: factor by which the sampled chroma is multiplied.
  """

  temperature: float = 1.0
  fine_temperature: float | None = None
  guidance: float = 0.0
  prior_exponent: float = 0.0
  saturation: float = 1.0

  @classmethod
  def from_values(cls, values: dict[str, Any]) -> 'RecommendedSampling':
    """Checks settings and fills in the defaults.

    Args:
      values: settings, keyed by the names of the attributes.

    Raises:
      UserError: if a name is unknown, or a value is not a number >= 0. Only the
        fine temperature may be None.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    for name, value in values.items():
      if name not in names:
        raise errors.UserError(
          f'Recommended settings may only be {", ".join(names)}, got {name!r}.'
        )
      if value is None and name == 'fine_temperature':
        continue
      is_number = isinstance(value, int | float)
      if not (is_number and math.isfinite(value) and value >= 0):
        raise errors.UserError(
          f'Recommended {name} must be a number >= 0, got {value!r}.'
        )
    return cls(**values)

  def to_json(self) -> str:
    """Returns the settings as the metadata entry of a file of weights."""
    return json.dumps(dataclasses.asdict(self))


def from_flag(assignments: list[str]) -> RecommendedSampling:
  """Parses the NAME=NUMBER assignments of the flag --recommend.

  Raises:
    UserError: if a text is not an assignment, or `from_values` refuses a name
      or a value.
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
