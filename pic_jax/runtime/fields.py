"""Declaration of dataclass fields together with the values that they allow."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pic_jax.runtime import errors


class NumberRule(NamedTuple):
  """Rule that says which numbers a field may hold.

  Attributes:
    text: description of the numbers for error messages, such as 'positive'.
    allows: function that returns whether a number is allowed.
  """

  text: str
  allows: Callable[[float], bool]


def at_least(least: float) -> NumberRule:
  """Returns the rule that a number is `least` or more."""
  return NumberRule(f'at least {least}', lambda x: x >= least)


def between(least: float, most: float) -> NumberRule:
  """Returns the rule that a number is from `least` to `most`, inclusive."""
  return NumberRule(f'from {least} to {most}', lambda x: least <= x <= most)


POSITIVE = NumberRule('positive', lambda x: x > 0)
NOT_NEGATIVE = at_least(0)
FROM_0_TO_1 = NumberRule('in [0, 1]', lambda x: 0 <= x <= 1)
ABOVE_0_TO_1 = NumberRule('in (0, 1]', lambda x: 0 < x <= 1)
FROM_0_BELOW_1 = NumberRule('in [0, 1)', lambda x: 0 <= x < 1)
SEED = NumberRule('from 0 to 2**31 - 1', lambda x: 0 <= x < 2**31)
COUNT = NumberRule('positive, or -1 for all', lambda x: x == -1 or x > 0)
ANY = NumberRule('any number', lambda x: True)


def declare(
  default: Any, allowed: NumberRule | Iterable[str] | None = None
) -> Any:
  """Declares a dataclass field with its default and its allowed values.

  Args:
    default: default value. Its type is the type that `check` requires.
    allowed: rule for a number, or the allowed strings. None means positive for
      a number, and no restriction for any other type.
  """
  if allowed is None:
    is_number = isinstance(default, int | float)
    # An empty tuple means that `check` tests only the type.
    allowed = POSITIVE if is_number and not isinstance(default, bool) else ()
  return dataclasses.field(default=default, metadata={'allowed': allowed})


def check(name: str, value: Any, declared: dataclasses.Field) -> None:
  """Checks the type and the value of a field.

  Args:
    name: name of the field in error messages, 'section.field'.
    value: value of the field.
    declared: the field's declaration, which `declare` returned.

  Raises:
    UserError: if the value is not allowed, or its type is not that of the
      default. An int is accepted for a float.
  """
  expected = type(declared.default)
  is_unexpected_bool = isinstance(value, bool) and expected is not bool
  if expected is float and isinstance(value, int):
    value = float(value)
  if is_unexpected_bool or not isinstance(value, expected):
    raise errors.UserError(
      f'`{name}` must be of type {expected.__name__}, got {value!r}.'
    )
  allowed = declared.metadata['allowed']
  if isinstance(allowed, NumberRule):
    if not math.isfinite(value):
      raise errors.UserError(f'`{name}` must be finite, got {value}.')
    if not allowed.allows(value):
      raise errors.UserError(f'`{name}` must be {allowed.text}, got {value}.')
  elif allowed and value not in allowed:
    raise errors.UserError(
      f'`{name}` must be one of {", ".join(allowed)}, got {value!r}.'
    )
