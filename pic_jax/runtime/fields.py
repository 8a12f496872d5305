"""Dataclass fields that are declared with the values that they may hold."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pic_jax.runtime import errors


class Range(NamedTuple):
  """A set of allowed numbers.

  Attributes:
    text: description of the numbers for error messages, such as 'positive'.
    contains: function that returns whether a number is allowed.
  """

  text: str
  contains: Callable[[float], bool]


def at_least(least: float) -> Range:
  """Returns the range of numbers that are not smaller than `least`."""
  return Range(f'at least {least}', lambda x: x >= least)


def between(least: float, most: float) -> Range:
  """Returns the range of numbers from `least` to `most`, both included."""
  return Range(f'from {least} to {most}', lambda x: least <= x <= most)


POSITIVE = Range('positive', lambda x: x > 0)
NOT_NEGATIVE = at_least(0)
FROM_0_TO_1 = Range('in [0, 1]', lambda x: 0 <= x <= 1)
ABOVE_0_TO_1 = Range('in (0, 1]', lambda x: 0 < x <= 1)
FROM_0_BELOW_1 = Range('in [0, 1)', lambda x: 0 <= x < 1)
SEED = Range('from 0 to 2**31 - 1', lambda x: 0 <= x < 2**31)
COUNT = Range('positive, or -1 for all', lambda x: x == -1 or x > 0)
ANY = Range('any number', lambda x: True)


def declare(default: Any, allowed: Range | Iterable[str] | None = None) -> Any:
  """Declares a dataclass field with its default and its allowed values.

  Args:
    default: default value. Its type is the type that `check` requires.
    allowed: a range of numbers, or the allowed strings. None allows any value
      of the type, except that numbers must be positive.
  """
  if allowed is None:
    is_number = isinstance(default, int | float)
    # An empty tuple means that `check` looks at the type only.
    allowed = POSITIVE if is_number and not isinstance(default, bool) else ()
  return dataclasses.field(default=default, metadata={'allowed': allowed})


def check(name: str, value: Any, declared: dataclasses.Field) -> None:
  """Checks the type and the value of a field.

  Args:
    name: name of the field in error messages, 'section.field'.
    value: value of the field.
    declared: the field's declaration, which `declare` returned.

  Raises:
    UserError: if the value has another type than the default, or is not
      allowed.
  """
  expected = type(declared.default)
  if expected is float and isinstance(value, int):
    value = float(value)
  is_unexpected_bool = isinstance(value, bool) and expected is not bool
  if is_unexpected_bool or not isinstance(value, expected):
    raise errors.UserError(
      f'`{name}` must be of type {expected.__name__}, got {value!r}.'
    )
  allowed = declared.metadata['allowed']
  if isinstance(allowed, Range):
    if not math.isfinite(value):
      raise errors.UserError(f'`{name}` must be finite, got {value}.')
    if not allowed.contains(value):
      raise errors.UserError(f'`{name}` must be {allowed.text}, got {value}.')
  elif allowed and value not in allowed:
    raise errors.UserError(
      f'`{name}` must be one of {", ".join(allowed)}, got {value!r}.'
    )
