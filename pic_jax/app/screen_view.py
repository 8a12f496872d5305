"""Requests of the page to show and to save pictures."""

import dataclasses
import operator
from typing import Any

from pic_jax.app import sample_recipe
from pic_jax.photos import adjustments

KINDS = ('grey', 'original', 'version')
FORMATS = {'png': 'PNG', 'jpg': 'JPEG'}
MAX_SAMPLES = 64  # of one request
MAX_WIDTH = 10_000  # pixels of a screen
MAX_NAME = 200  # characters


@dataclasses.dataclass(frozen=True)
class Asked:
  """A picture for the screen.

  Attributes:
    kind: one of `KINDS`.
    recipe: of a version; None for the others.
    adjustments: of a version.
    box: the part that is looked at, left, top, right, bottom in pixels of the
      photograph; None for all of it.
    width: pixels of that part on the screen.
  """

  kind: str
  recipe: sample_recipe.Recipe | None
  adjustments: adjustments.Adjustments
  box: tuple[int, int, int, int] | None
  width: int

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Asked':
    """Checks what comes from a page.

    Raises:
      LookupError, TypeError, ValueError: nothing that can be seen.
    """
    kind, box = fields['kind'], fields.get('box')
    if kind not in KINDS:
      raise ValueError(f'`kind` is one of {KINDS}, got {kind!a:.20}.')
    recipe, wanted = None, adjustments.NEUTRAL
    if kind == 'version':
      recipe = sample_recipe.Recipe.from_json(fields['recipe'])
      wanted = sample_recipe.adjustments_from_json(fields['adjustments'])
    width = 0
    if box is not None:
      left, top, right, bottom = map(operator.index, box)
      box = left, top, right, bottom
      width = operator.index(fields['width'])
      if not 0 < width <= MAX_WIDTH:
        raise ValueError(f'`width` is from 1 to {MAX_WIDTH}, got {width}.')
    return cls(kind, recipe, wanted, box, width)


@dataclasses.dataclass(frozen=True)
class Saved:
  """Pictures at the size of their photograph.

  Attributes:
    recipes: of the versions.
    adjustments: of all of them.
    form: 'PNG' or 'JPEG'.
    is_beside: whether the grey photograph stands on the left of each.
    archive_name: of the photograph, for the files of an archive; '' if the one
      picture is wanted as it is.
  """

  recipes: tuple[sample_recipe.Recipe, ...]
  adjustments: adjustments.Adjustments
  form: str
  is_beside: bool
  archive_name: str

  @property
  def media_type(self) -> str:
    """Name of the file."""
    if self.archive_name:
      return 'application/zip'
    return f'image/{self.form.lower()}'

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Saved':
    """Checks what comes from a page.

    Raises:
      LookupError, TypeError, ValueError: nothing that can be saved.
    """
    recipes = recipes_from_json(fields['recipes'])
    is_archive = 'name' in fields
    if len(recipes) > 1 and not is_archive:
      raise ValueError('several versions need a `name`.')
    name = str(fields['name'])[:MAX_NAME] if is_archive else ''
    for letter in '/\\:\0':
      name = name.replace(letter, '_')
    return cls(
      recipes=recipes,
      adjustments=sample_recipe.adjustments_from_json(fields['adjustments']),
      form=FORMATS[fields['format']],
      is_beside=bool(fields['beside']),
      archive_name=name.lstrip('.') or 'photograph' * is_archive,
    )


def recipes_from_json(recipes: Any) -> tuple[sample_recipe.Recipe, ...]:
  """Checks recipes of at least one and at most `MAX_SAMPLES` samples.

  Raises:
    LookupError, TypeError, ValueError: they are no recipes.
  """
  if not 0 < len(recipes) <= MAX_SAMPLES:
    raise ValueError(f'from 1 to {MAX_SAMPLES} samples, got {len(recipes)}.')
  return tuple(map(sample_recipe.Recipe.from_json, recipes))
