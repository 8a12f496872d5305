"""Parsing of the page's requests to show and to save pictures."""

import dataclasses
import operator
from typing import Any

from pic_jax.app import sample_recipe
from pic_jax.photos import adjustments

# Pictures that can be shown: the photograph without its colours, the photograph
# with its own colours, or a version.
KINDS = ('grey', 'original', 'version')
# Suffix of a file -> name of its format.
FORMATS = {'png': 'PNG', 'jpg': 'JPEG'}
# Largest number of samples in one request.
MAX_SAMPLES = 64
# Largest width of a picture for the screen, in pixels.
MAX_WIDTH = 10_000
# Largest number of characters of `Saved.archive_name`.
MAX_NAME = 200


@dataclasses.dataclass(frozen=True)
class Asked:
  """A request for a picture on the screen.

  Attributes:
    kind: kind of the picture, one of `KINDS`.
    recipe: recipe of the version; None for other kinds.
    adjustments: adjustments of the version; neutral for other kinds.
    box: left, top, right and bottom edge of the visible part, in pixels of the
      photograph; None for the whole photograph.
    width: width of the visible part on the screen, in pixels; 0 if `box` is
      None.
  """

  kind: str
  recipe: sample_recipe.Recipe | None
  adjustments: adjustments.Adjustments
  box: tuple[int, int, int, int] | None
  width: int

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Asked':
    """Reads a request of the page.

    Args:
      fields: JSON object with the attributes. Fields that do not apply may be
        missing.

    Raises:
      LookupError, TypeError, ValueError: if a field is missing or wrong.
    """
    kind, box = fields['kind'], fields.get('box')
    if kind not in KINDS:
      raise ValueError(f'`kind` must be one of {KINDS}, got {kind!a:.20}.')
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
        raise ValueError(f'`width` must be 1 to {MAX_WIDTH}, got {width}.')
    return cls(kind, recipe, wanted, box, width)


@dataclasses.dataclass(frozen=True)
class Saved:
  """A request for a file with versions at the photograph's own size.

  Attributes:
    recipes: recipes of the versions.
    adjustments: adjustments of all versions.
    form: format of the pictures, 'PNG' or 'JPEG'.
    is_beside: whether each picture shows the grey photograph on the left and
      the version on the right.
    archive_name: first part of the names of the pictures in a zip archive, or
      '' for a single picture without an archive.
  """

  recipes: tuple[sample_recipe.Recipe, ...]
  adjustments: adjustments.Adjustments
  form: str
  is_beside: bool
  archive_name: str

  @property
  def media_type(self) -> str:
    """Media type of the file for HTTP."""
    if self.archive_name:
      return 'application/zip'
    return f'image/{self.form.lower()}'

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Saved':
    """Reads a request of the page.

    Args:
      fields: JSON object with 'recipes', 'adjustments', 'format' (a key of
        `FORMATS`), 'beside' and, for an archive, 'name'.

    Raises:
      LookupError, TypeError, ValueError: if a field is missing or wrong.
    """
    recipes = recipes_from_json(fields['recipes'])
    is_archive = 'name' in fields
    if len(recipes) > 1 and not is_archive:
      raise ValueError('`name` must be given for several versions.')
    archive_name = ''
    if is_archive:
      archive_name = str(fields['name'])[:MAX_NAME]
      for letter in '/\\:\0':
        archive_name = archive_name.replace(letter, '_')
      archive_name = archive_name.lstrip('.') or 'photograph'
    return cls(
      recipes=recipes,
      adjustments=sample_recipe.adjustments_from_json(fields['adjustments']),
      form=FORMATS[fields['format']],
      is_beside=bool(fields['beside']),
      archive_name=archive_name,
    )


def recipes_from_json(recipes: Any) -> tuple[sample_recipe.Recipe, ...]:
  """Reads a JSON list of 1 to `MAX_SAMPLES` recipes.

  Raises:
    LookupError, TypeError, ValueError: if a recipe is wrong, or there are too
      few or too many.
  """
  if not 0 < len(recipes) <= MAX_SAMPLES:
    raise ValueError(
      f'there must be 1 to {MAX_SAMPLES} recipes, got {len(recipes)}.'
    )
  return tuple(map(sample_recipe.Recipe.from_json, recipes))
