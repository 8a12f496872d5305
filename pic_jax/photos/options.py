"""Options for colouring, declared once for the command line and Python."""

import argparse
import dataclasses
import numbers
import typing
from collections.abc import Sequence
from typing import Any

from pic_jax.photos import adjustments
from pic_jax.runtime import errors

RANKS = ('none', 'probable', 'different')
FORMATS = ('png', 'jpg', 'webp')


def option(
  default: Any,
  text: str,
  at_least: float | None = None,
  *,
  choices: tuple[str, ...] | None = None,
  at_most: float | None = None,
) -> Any:
  """Declares an option.

  Args:
    default: default value.
    text: help text.
    at_least: smallest allowed number; None for no limits.
    choices: allowed values; None if all are allowed.
    at_most: largest allowed number; None for 2**31 - 1. It has no effect
      without `at_least`.
  """
  metadata = {
    'help': text,
    'at_least': at_least,
    'at_most': at_most,
    'choices': choices,
  }
  return dataclasses.field(default=default, metadata=metadata)


# Values that `exact` implies, keyed by setting.
EXACT = {
  'temperature': 1.0,
  'fine_temperature': 1.0,
  'guidance': 0.0,
  'prior_exponent': 0.0,
  'saturation': 1.0,
}


class Numbers(tuple):
  """Sample numbers, made from a sequence or from text such as '2,5'."""

  def __new__(cls, values: Any = ()) -> 'Numbers':
    if isinstance(values, str):
      values = values.split(',')
    return super().__new__(cls, map(int, values))

  def __str__(self) -> str:
    return ','.join(map(str, self)) or 'all'


# Allowed types of values and what messages call them, keyed by a field's type.
_KINDS = {
  int: (numbers.Integral, 'a whole number'),
  float: (numbers.Real, 'a number'),
  float | None: (numbers.Real | None, 'a number'),
  str: (str, 'text'),
}


@dataclasses.dataclass(frozen=True)
class _Checked:
  """Base class of options that raise `UserError` for invalid values."""

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      value, rules = getattr(self, field.name), field.metadata
      if field.type in _KINDS:
        types, description = _KINDS[field.type]
        # In Python, True and False are whole numbers.
        if not isinstance(value, types) or isinstance(value, bool):
          raise errors.UserError(
            f'`{field.name}` must be {description}, got {value!r:.60}.'
          )
      if rules['choices'] and value not in rules['choices']:
        raise errors.UserError(
          f'`{field.name}` must be one of {", ".join(rules["choices"])}, got '
          f'{value!r}.'
        )
      least, most = rules['at_least'], rules['at_most']
      if least is None or value is None:
        continue
      if not least <= value <= (2**31 - 1 if most is None else most):
        shown = '2**31 - 1' if most is None else most
        raise errors.UserError(
          f'`{field.name}` must be from {least} to {shown}, got {value}.'
        )


@dataclasses.dataclass(frozen=True)
class Model(_Checked):
  """The option that names the model, see `Colorizer.load`."""

  model: str = option('photos', 'a published model, a workdir or .safetensors')


@dataclasses.dataclass(frozen=True)
class Settings(_Checked):
  """Settings that determine the colourisations of a photograph."""

  num_samples: int = option(4, 'number of colourisations of each photograph', 1)
  samples: Numbers = option(
    Numbers(), 'draw only the samples with these numbers, such as 5 or 2,5'
  )
  seed: int = option(0, 'random seed; another seed gives other colours', 0)
  temperature: float | None = option(
    None, 'below 1 gives calmer colours, 0 the mode of each pixel', 0
  )
  guidance: float | None = option(
    None, 'strength of guidance; 0 turns it off', 0
  )
  saturation: float | None = option(None, 'factor of the sampled chroma', 0)
  fine_temperature: float | None = option(
    None,
    'temperature of the finer chroma levels; by default --temperature if given',
    0,
  )
  prior_exponent: float | None = option(
    None, 'how much guidance favours uncommon colours; 0 turns this off', 0
  )
  exact: bool = option(
    False, 'exact samples: temperature 1, no guidance, saturation 1'
  )
  warmth: float = option(
    0.0, 'white balance, -100 (bluish) to 100 (yellowish)', -100, at_most=100
  )
  tint: float = option(
    0.0, 'white balance, -100 (greenish) to 100 (magenta)', -100, at_most=100
  )
  strength: float = option(
    1.0, 'how much colour is left, 0 (grey) to 1 (all)', 0, at_most=1
  )
  rank: str = option(
    'none',
    'draw more samples and keep the most probable or the most different',
    choices=RANKS,
  )
  num_candidates: int = option(
    0, 'number of samples to rank; 0 means 4 times num_samples', 0
  )

  def __post_init__(self) -> None:
    super().__post_init__()
    object.__setattr__(self, 'samples', Numbers(self.samples))
    if not all(0 <= number < 2**31 for number in self.samples):
      raise errors.UserError(
        f'`samples` must be from 0 to 2**31 - 1, got {tuple(self.samples)}.'
      )
    self._make_exact()
    if self.samples and self.rank != 'none':
      raise errors.UserError(
        '`samples` chooses the samples, so leave `rank` at none.'
      )
    if self.num_candidates and self.num_candidates < self.num_samples:
      raise errors.UserError(
        '`num_candidates` must be at least `num_samples`, got '
        f'{self.num_candidates} and {self.num_samples}.'
      )

  def _make_exact(self) -> None:
    """Sets the values that `exact` implies, if it is True.

    Raises:
      UserError: if another setting contradicts `exact`.
    """
    if not self.exact:
      return
    for name, value in EXACT.items():
      if getattr(self, name) not in (None, value):
        raise errors.UserError(
          f'`exact` means {name} {value:g}, got {getattr(self, name)}; leave '
          'one of them out.'
        )
      object.__setattr__(self, name, value)

  @property
  def adjustments(self) -> adjustments.Adjustments:
    """Adjustments of the coloured photograph."""
    fields = dataclasses.fields(adjustments.Adjustments)
    return adjustments.Adjustments(
      **{field.name: getattr(self, field.name) for field in fields}
    )

  @property
  def num_drawn(self) -> int:
    """Number of samples to draw, including those that `rank` discards."""
    if self.rank == 'none':
      return len(self.numbers)
    return self.num_candidates or 4 * self.num_samples

  @property
  def numbers(self) -> Sequence[int]:
    """Numbers in the names of the outputs: sample numbers or ranks."""
    return self.samples or range(self.num_samples)


@dataclasses.dataclass(frozen=True)
class FileOptions(_Checked):
  """Options for reading and writing files."""

  format: str = option('png', 'file format of the outputs', choices=FORMATS)
  recursive: bool = option(False, 'also read subfolders')
  overwrite: bool = option(False, 'overwrite existing outputs')
  skip_colour: bool = option(False, 'skip photographs that have colours')


def add_to(parser: argparse.ArgumentParser, options_class: type) -> None:
  """Adds command line options to a parser.

  Args:
    parser: the parser.
    options_class: a class of options, such as `Settings`.
  """
  for field in dataclasses.fields(options_class):
    arguments: dict[str, Any] = {'default': field.default}
    if field.type is bool:
      arguments |= {'action': 'store_true', 'help': field.metadata['help']}
    else:
      kind, default = field.type, field.default
      if default is None:
        kind, default = typing.get_args(kind)[0], "the model's own"
      arguments |= {
        'type': kind,
        'choices': field.metadata['choices'],
        'help': f'{field.metadata["help"]} ({default})',
      }
      if isinstance(kind, type) and not field.metadata['choices']:
        arguments['metavar'] = kind.__name__.upper()
    parser.add_argument(f'--{field.name.replace("_", "-")}', **arguments)


def taken_from(values: argparse.Namespace, options_class: type) -> Any:
  """Creates options from parsed arguments.

  Args:
    values: the arguments.
    options_class: a class of options, such as `Settings`.

  Returns:
    An instance of `options_class`.

  Raises:
    UserError: if a value is invalid.
  """
  names = [field.name for field in dataclasses.fields(options_class)]
  return options_class(**{name: getattr(values, name) for name in names})
