"""Declared fields: each with its default value and the values it may take."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pic_jax.runtime import errors


class Range(NamedTuple):
  """Numbers that a field may hold, in words and as a test."""

  text: str
  holds: Callable[[float], bool]


def at_least(least: float) -> Range:
  """Numbers from `least` on."""
  return Range(f'at least {least}', lambda x: x >= least)


def between(least: float, most: float) -> Range:
  """Numbers from `least` to `most`, both included."""
  return Range(f'from {least} to {most}', lambda x: least <= x <= most)


POSITIVE = Range('positive', lambda x: x > 0)
NOT_NEGATIVE = at_least(0)
SHARE = Range('in [0, 1]', lambda x: 0 <= x <= 1)
FACTOR = Range('in (0, 1]', lambda x: 0 < x <= 1)
RATE = Range('in [0, 1)', lambda x: 0 <= x < 1)
SEED = Range('from 0 to 2**31 - 1', lambda x: 0 <= x < 2**31)
COUNT = Range('positive, or -1 for all', lambda x: x == -1 or x > 0)
ANY = Range('any number', lambda x: True)


def declare(default: Any, allowed: Range | Iterable[str] | None = None) -> Any:
  """Declares a dataclass field with its allowed values.

  Args:
    default: also fixes the type.
    allowed: a range of numbers, or a choice of strings; None allows positive
      numbers and any string.
  """
  if allowed is None:
    is_number = isinstance(default, int | float)
    allowed = POSITIVE if is_number and not isinstance(default, bool) else ()
  return dataclasses.field(default=default, metadata={'allowed': allowed})


def check(name: str, value: Any, declared: dataclasses.Field) -> None:
  """Checks the type and value of a field.

  Args:
    name: for the message, 'section.field'.
    value: what it holds.
    declared: by `declare`.

  Raises:
    UserError: names the field, the value and what it may be.
  """
  expected = type(declared.default)
  if expected is float and isinstance(value, int):
    value = float(value)
  is_bool = isinstance(value, bool) and expected is not bool
  if is_bool or not isinstance(value, expected):
    raise errors.UserError(
      f'`{name}` must be of type {expected.__name__}, got {value!r}.'
    )
  allowed = declared.metadata['allowed']
  if isinstance(allowed, Range):
    if not math.isfinite(value):
      raise errors.UserError(f'`{name}` must be finite, got {value}.')
    if not allowed.holds(value):
      raise errors.UserError(f'`{name}` must be {allowed.text}, got {value}.')
  elif allowed and value not in allowed:
    raise errors.UserError(
      f'`{name}` must be one of {", ".join(allowed)}, got {value!r}.'
    )
