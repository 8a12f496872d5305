"""Compatibility with commits before version 0.1.0: configs, flags, journals.

This file can be deleted once nobody has files of those commits any more.
"""

import math
from collections.abc import Sequence
from typing import Any

from pic_jax.runtime import errors

# Removed fields. Those of `evaluation` became flags, the others constants.
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
  """Recommended sampling of a stored config that held it as fields."""
  sampling = sections.get('sampling', {})
  return {
    name: sampling[f'photo_{name}']
    for name in ('temperature', 'guidance')
    if f'photo_{name}' in sampling
  }


def upgrade(sections: dict[str, Any]) -> None:
  """Brings a stored config, a dict of sections, to today's fields.

  Raises:
    UserError: a field is given by its old and by its new name.
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


# Removed flags, and what replaces them.
_PHOTOGRAPHS = '`pic-jax colorize INPUT... -o OUT` (or python -m pic_jax)'
MOVED = {
  'mode=colorize': _PHOTOGRAPHS,
  **dict.fromkeys(
    ('input', 'recursive', 'num_samples', 'seed', 'temperature', 'saturation')
    + ('rank', 'num_candidates', 'format'),
    _PHOTOGRAPHS,
  ),
  'overwrite': f'{_PHOTOGRAPHS}; of --mode=export another --output',
  'upsampling': 'guided is the only one',
  'max_pixels': '64 million is the limit',
  'batch_size': 'one photograph for each device at a time',
  'report': '--output=FILE',
  'metrics': '--num_sampled_images=1000',
  'figure': '--mode=figures, which makes all that the model can show',
  'checkpoints': '--checkpoint=A,B',
  'folders': '--compare_with=X,Y',
  'profile_steps': '--mode=benchmark',
  'config.data.chroma_filter': '--config.model.chroma_filter',
  'config.evaluation.num_images': '--num_images',
  'config.evaluation.num_sampled_images': '--num_sampled_images',
  'config.evaluation.num_coded_images': '--num_coded_images',
  'config.evaluation.compare_with': '--compare_with',
  'config.model.point_estimate': '--config.model.head=classification_median',
  'config.optimizer.eps': 'it is 1e-6',
  'config.sampling.num_candidates': 'there are 16',
  'config.sampling.photo_guidance': '--recommend of --mode=export',
  'config.sampling.photo_temperature': '--recommend of --mode=export',
  'config.training.heartbeat_seconds': 'it is 100',
  'config.training.accumulation_steps': '--config.model.remat=True',
}


def removed_flag(argv: Sequence[str]) -> str:
  """A message about the first removed flag; '' if there is none."""
  for argument in argv:
    if argument.startswith('-'):
      whole = argument.lstrip('-')
      for name in (whole, whole.partition('=')[0]):
        if name in MOVED:
          return f'--{name} has gone: {MOVED[name]}.'
  return ''


def journal_entry(entry: dict[str, Any]) -> dict[str, Any]:
  """An entry of the journal of a folder of photographs, in today's form."""
  return {'pictures': [], 'reason': ''} | entry
