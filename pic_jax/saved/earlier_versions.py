"""Configs that were stored before version 0.1.0, in today's form.

Deletable: without this file, only files of earlier commits become unreadable.
"""

import math
from typing import Any

from pic_jax.runtime import errors

# Fields that are gone. Those of `evaluation` are flags of --mode=eval, the
# others are constants.
REMOVED = {
  'optimizer': ('eps',),
  'training': ('accumulation_steps', 'heartbeat_seconds', 'rebalancing_share'),
  'evaluation': (
    'compare_with',
    'num_coded_images',
    'num_images',
    'num_sampled_images',
  ),
  'sampling': ('num_candidates', 'photo_guidance', 'photo_temperature'),
}


def recommended(sections: dict[str, Any]) -> dict[str, float]:
  """The recommended sampling of a stored config, which it held as fields."""
  sampling = sections.get('sampling', {})
  return {
    name: sampling[f'photo_{name}']
    for name in ('temperature', 'guidance')
    if f'photo_{name}' in sampling
  }


def upgrade(sections: dict[str, Any]) -> None:
  """Brings a stored config, a dict of sections, to today's fields.

  Raises:
    UserError: a field is there under its old and its new name.
  """
  data, model = sections['data'], sections['model']
  if 'chroma_filter' in data:
    moved = data.pop('chroma_filter')
    if 'chroma_filter' in model:
      raise errors.UserError(
        'both `data.chroma_filter` and `model.chroma_filter` are given: '
        'remove the former.'
      )
    model['chroma_filter'] = moved
  strides = [stride for _, stride, _, _ in model['embedding_stages']]
  model.setdefault('chroma_factor', math.prod(strides))
  is_median = model.pop('point_estimate', '') == 'median'
  if model.get('head') == 'classification' and is_median:
    model['head'] = 'classification_median'
  for section, names in REMOVED.items():
    for name in names:
      sections.get(section, {}).pop(name, None)
