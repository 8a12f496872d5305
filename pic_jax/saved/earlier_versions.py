"""Configs that were stored before version 0.1.0, in today's form.

Deletable: without this file, only files of earlier commits become unreadable.
"""

import math
from typing import Any

from pic_jax.runtime import errors


def upgrade(sections: dict[str, Any]) -> None:
  """Brings a stored config, a dict of sections, to today's fields.

  Raises:
    UserError: a field is there under its old and its new name.
  """
  data, model = sections['data'], sections['model']
  training = sections['training']
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
  training.pop('rebalancing_share', None)
  training.pop('accumulation_steps', None)
