"""Compatibility with configs, flags and journals of version 0.1.0 and older.

A journal is the list of outputs that `colorize_folder` keeps. This module can
be deleted when no such files are in use.
"""

import math
from collections.abc import Sequence
from typing import Any

from pic_jax.runtime import errors

# Config fields that were removed, keyed by section. The fields of `evaluation`
# became flags. The other fields have no effect, except `photo_*`, which
# `recommended` reads.
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
  """Returns the recommended sampling settings of an old stored config.

  Old configs held these settings in the fields `sampling.photo_*`.

  Args:
    sections: stored config as a dict of sections.

  Returns:
    Settings for `RecommendedSampling.from_values`; empty for newer configs.
  """
  sampling = sections.get('sampling', {})
  return {
    name: sampling[f'photo_{name}']
    for name in ('temperature', 'guidance')
    if f'photo_{name}' in sampling
  }


def upgrade(sections: dict[str, Any]) -> None:
  """Replaces and removes the old fields of a stored config.

  Args:
    sections: stored config as a dict of sections, which is changed in place.

  Raises:
    UserError: if a field is given under both its old and its new name, or asks
      for something that was removed.
  """
  data, model = sections['data'], sections['model']
  if 'chroma_filter' in data:
    chroma_filter = data.pop('chroma_filter')
    if 'chroma_filter' in model:
      raise errors.UserError(
        'Both `data.chroma_filter` and `model.chroma_filter` are given. '
        'Please remove the former.'
      )
    model['chroma_filter'] = chroma_filter
  # Configs without `chroma_factor` used the product of the strides.
  strides = [stride for _, stride, _, _ in model['embedding_stages']]
  model.setdefault('chroma_factor', math.prod(strides))
  is_median = model.pop('point_estimate', '') == 'median'
  if model.get('head') == 'classification' and is_median:
    model['head'] = 'classification_median'
  order = model.pop('decoder_order', 'raster')
  if order != 'raster':
    raise errors.UserError(
      f'`model.decoder_order={order}` was removed. To use this model, check '
      'out commit f53c43d (version 0.1.0).'
    )
  for section, names in REMOVED.items():
    for name in names:
      sections.get(section, {}).pop(name, None)


_USE_PIC_JAX = 'Use `pic-jax colorize INPUT... -o OUT` (or `python -m pic_jax`)'
# Sentences that tell the user what to do instead of using a removed flag, keyed
# by the flag without dashes.
REMOVED_FLAGS = {
  'mode=colorize': _USE_PIC_JAX,
  **dict.fromkeys(
    ('input', 'recursive', 'num_samples', 'seed', 'temperature', 'saturation')
    + ('rank', 'num_candidates', 'format'),
    _USE_PIC_JAX,
  ),
  'overwrite': f'{_USE_PIC_JAX}; with --mode=export, use another --output',
  'upsampling': 'The method is always guided upsampling',
  'max_pixels': 'The limit is always 64 million pixels',
  'batch_size': 'Each device colours one photograph at a time',
  'report': 'Use --output=FILE',
  'metrics': 'Use --num_sampled_images=1000',
  'figure': 'Use --mode=figures, which makes every figure of the model',
  'checkpoints': 'Use --checkpoint=A,B',
  'folders': 'Use --compare_with=X,Y',
  'profile_steps': 'Use --mode=benchmark',
  'config.data.chroma_filter': 'Use --config.model.chroma_filter',
  'config.evaluation.num_images': 'Use --num_images',
  'config.evaluation.num_sampled_images': 'Use --num_sampled_images',
  'config.evaluation.num_coded_images': 'Use --num_coded_images',
  'config.evaluation.compare_with': 'Use --compare_with',
  'config.model.decoder_order': "The order is always 'raster'",
  'config.model.point_estimate': (
    'Use --config.model.head=classification_median'
  ),
  'config.optimizer.eps': 'The value is always 1e-6',
  'config.sampling.num_candidates': 'There are always 16 candidates',
  'config.sampling.photo_guidance': 'Use --recommend with --mode=export',
  'config.sampling.photo_temperature': 'Use --recommend with --mode=export',
  'config.training.heartbeat_seconds': 'The interval is always 100 s',
  'config.training.accumulation_steps': 'Use --config.model.remat=True',
}


def removed_flag(argv: Sequence[str]) -> str:
  """Returns a message about the first removed flag; '' if there is none.

  Args:
    argv: arguments of the command line.
  """
  for argument in argv:
    if argument.startswith('-'):
      assignment = argument.lstrip('-')
      for name in (assignment, assignment.partition('=')[0]):
        if name in REMOVED_FLAGS:
          return f'--{name} was removed. {REMOVED_FLAGS[name]}.'
  return ''


def upgrade_journal_entry(entry: dict[str, Any]) -> dict[str, Any]:
  """Returns a copy of the entry with defaults for the fields that it lacks.

  Args:
    entry: parsed line of the journal that `colorize_folder` keeps.
  """
  return {'pictures': [], 'reason': ''} | entry
