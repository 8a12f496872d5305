"""Parses the page's requests to show or to save pictures."""

import dataclasses
import operator
from typing import Any

from pic_jax.app import sample_recipe
from pic_jax.photos import adjustments

# Pictures that can be shown: the photograph without its colours, the photograph
# with its own colours, or a version (a coloured sample).
KINDS = ('grey', 'original', 'version')
# Suffix of a file -> name of its format.
FORMATS = {'png': 'PNG', 'jpg': 'JPEG'}
# Largest number of samples in one request.
MAX_SAMPLES = 64
# Largest width of a picture for the screen, in pixels.
MAX_WIDTH = 10_000
# Largest number of characters of `SaveRequest.member_prefix`.
MAX_PREFIX_LENGTH = 200


@dataclasses.dataclass(frozen=True)
class ViewRequest:
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
  def from_json(cls, fields: dict[str, Any]) -> 'ViewRequest':
    """Reads a request from the page.

    Args:
      fields: JSON object with the attributes. Fields that do not apply may be
        missing.

    Raises:
      LookupError, TypeError, ValueError: if a field is missing or wrong.
    """
    kind, box = fields['kind'], fields.get('box')
    if kind not in KINDS:
      raise ValueError(f'`kind` must be one of {KINDS}, got {kind!a:.20}.')
    recipe, chosen = None, adjustments.NEUTRAL
    if kind == 'version':
      recipe = sample_recipe.Recipe.from_json(fields['recipe'])
      chosen = sample_recipe.adjustments_from_json(fields['adjustments'])
    width = 0
    if box is not None:
      left, top, right, bottom = map(operator.index, box)
      box = left, top, right, bottom
      width = operator.index(fields['width'])
      if not 0 < width <= MAX_WIDTH:
        raise ValueError(f'`width` must be 1 to {MAX_WIDTH}, got {width}.')
    return cls(kind, recipe, chosen, box, width)


@dataclasses.dataclass(frozen=True)
class SaveRequest:
  """A request for a file with versions at the photograph's own size.

  Attributes:
    recipes: recipes of the versions.
    adjustments: adjustments of all versions.
    picture_format: format of the pictures, 'PNG' or 'JPEG'.
    with_grey: whether each picture shows the grey photograph on the left and
      the version on the right.
    member_prefix: prefix of the names of the pictures in a zip archive, or ''
      for a single picture, which is not archived.
  """

  recipes: tuple[sample_recipe.Recipe, ...]
  adjustments: adjustments.Adjustments
  picture_format: str
  with_grey: bool
  member_prefix: str

  @property
  def media_type(self) -> str:
    """Media type of the file for HTTP."""
    if self.member_prefix:
      return 'application/zip'
    return f'image/{self.picture_format.lower()}'

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'SaveRequest':
    """Reads a request from the page.

    Args:
      fields: JSON object with 'recipes', 'adjustments', 'format' (a key of
        `FORMATS`), 'beside' (`with_grey`) and, for an archive, 'name'
        (`member_prefix`).

    Raises:
      LookupError, TypeError, ValueError: if a field is missing or wrong.
    """
    recipes = recipes_from_json(fields['recipes'])
    is_archive = 'name' in fields
    if len(recipes) > 1 and not is_archive:
      raise ValueError('`name` must be given for several versions.')
    member_prefix = ''
    if is_archive:
      member_prefix = str(fields['name'])[:MAX_PREFIX_LENGTH]
      for character in '/\\:\0':
        member_prefix = member_prefix.replace(character, '_')
      member_prefix = member_prefix.lstrip('.') or 'photograph'
    return cls(
      recipes=recipes,
      adjustments=sample_recipe.adjustments_from_json(fields['adjustments']),
      picture_format=FORMATS[fields['format']],
      with_grey=bool(fields['beside']),
      member_prefix=member_prefix,
    )


def recipes_from_json(recipes: Any) -> tuple[sample_recipe.Recipe, ...]:
  """Reads a JSON list of 1 to `MAX_SAMPLES` recipes.

  Raises:
    LookupError, TypeError, ValueError: if a recipe is wrong, or their number is
      out of range.
  """
  if not 0 < len(recipes) <= MAX_SAMPLES:
    raise ValueError(
      f'there must be 1 to {MAX_SAMPLES} recipes, got {len(recipes)}.'
    )
  return tuple(map(sample_recipe.Recipe.from_json, recipes))
