"""Checking a config: names, types, values; one line names the field."""

import difflib
import math
from typing import Any

import ml_collections

from pic_jax.data import input_pipeline, sources
from pic_jax.images import color, resizing
from pic_jax.model import (
  backbone_embedding,
  classification_head,
  efficientnet_lite0,
  pic,
)
from pic_jax.runtime import errors
from pic_jax.saved import config_fields

# Numbers that may be 0 or below; all others must be positive.
NON_POSITIVE = {
  'seed',
  'num_images',
  'num_sampled_images',
  'num_coded_images',
  'num_validation_images',
  'temperature',
  'attention_heads',
  'dropout_rate',
  'embedding_loss_weight',
  'cooldown_share',
  'eval_every_steps',
  'frozen_parts',
  'guidance',
  'photo_guidance',
  'photo_temperature',
  'hint_share',
  'sample_every_steps',
}
# Numbers of images: positive, or -1 for all.
COUNTS = (
  ('evaluation', 'num_images'),
  ('evaluation', 'num_validation_images'),
  ('sampling', 'num_images'),
)


def _check_names(where: str, names: Any, expected: Any) -> None:
  for name in names:
    if name not in expected:
      near = difflib.get_close_matches(name, expected, 1, 0.0)[0]
      if f'{where}{name}' == 'data.chroma_filter':
        where, near = '', 'model.chroma_filter'
      raise errors.UserError(
        f'Unknown field `{where}{name}`; the nearest is `{where}{near}`.'
      )
  for name in expected:
    if name not in names:
      raise errors.UserError(f'Missing field `{where}{name}`.')


def _check_value(name: str, value: Any, default: Any) -> None:
  expected = type(default)
  if expected is float and isinstance(value, int):
    value = float(value)
  is_bool = isinstance(value, bool) and expected is not bool
  if is_bool or not isinstance(value, expected):
    raise errors.UserError(
      f'`{name}` must be of type {expected.__name__}, got {value!r}.'
    )
  if expected in (int, float):
    if not math.isfinite(value):
      raise errors.UserError(f'`{name}` must be finite, got {value}.')
    if value <= 0 and name.split('.')[1] not in NON_POSITIVE:
      raise errors.UserError(f'`{name}` must be positive, got {value}.')


def _require(condition: bool, message: str) -> None:
  if not condition:
    raise errors.UserError(message)


def check(config: ml_collections.ConfigDict) -> None:
  """Checks names, types and values.

  Raises:
    UserError: the first mistake found.
  """
  defaults = config_fields.defaults()
  _check_names('', config, defaults)
  for section, expected in defaults.items():
    is_section = isinstance(config[section], ml_collections.ConfigDict)
    _require(is_section, f'`{section}` must be a section of fields.')
    _check_names(f'{section}.', config[section], expected)
    for name, default in expected.items():
      _check_value(f'{section}.{name}', config[section][name], default)
  _check_choices(config)
  _check_model(config)
  _check_mixture(config.data)
  for section, name in (
    ('optimizer', 'cooldown_share'),
    ('training', 'rebalancing_share'),
    ('data', 'smallest_crop'),
    ('model', 'hint_share'),
  ):
    share = config[section][name]
    _require(
      0 <= share <= 1, f'`{section}.{name}` must be in [0, 1], got {share}.'
    )
  for name in ('b1', 'b2', 'ema_decay', 'decay_rate'):
    value = config.optimizer[name]
    _require(value <= 1, f'`optimizer.{name}` must be at most 1, got {value}.')
  for section in ('training', 'sampling'):
    seed = config[section].seed
    _require(
      0 <= seed < 2**31,
      f'`{section}.seed` must be from 0 to 2**31 - 1, got {seed}.',
    )
  for section, name in COUNTS:
    count = config[section][name]
    _require(
      count == -1 or count > 0,
      f'`{section}.{name}` must be positive, or -1 for all, got {count}.',
    )
  for name in ('num_sampled_images', 'num_coded_images'):
    count = config.evaluation[name]
    _require(
      count >= -1,
      f'`evaluation.{name}` must not be negative, or -1 for all, got {count}.',
    )
  for name in ('train_split', 'validation_split', 'test_split'):
    sources.parse_split(config.data[name], 0)
  _check_sampling(config.sampling)


def _check_sampling(sampling: ml_collections.ConfigDict) -> None:
  for name in (
    'temperature',
    'guidance',
    'photo_temperature',
    'photo_guidance',
  ):
    value = sampling[name]
    _require(value >= 0, f'`sampling.{name}` must be at least 0, got {value}.')


def _check_choices(config: ml_collections.ConfigDict) -> None:
  choices = {
    'data.resize': resizing.METHODS,
    'model.chroma_filter': color.CHROMA_FILTERS,
    'sampling.method': ('cached', 'naive', 'parallel'),
    'model.dtype': ('auto', 'float32', 'bfloat16'),
    'model.head': pic.HEADS,
    'optimizer.name': ('adam', 'muon'),
    'model.backbone': backbone_embedding.BACKBONES,
    'model.point_estimate': classification_head.POINT_ESTIMATES,
  }
  for name, allowed in choices.items():
    section, field = name.split('.')
    value = config[section][field]
    _require(
      value in allowed,
      f'`{name}` must be one of {", ".join(allowed)}, got {value!r}.',
    )
  if config.data.name in input_pipeline.DATASETS:
    _require(
      bool(config.data.data_dir),
      f'`data.data_dir` must name a folder for `data.name={config.data.name}`.',
    )
  _require(
    config.data.name != 'patches' or config.data.resize == 'crop',
    "`data.resize` must be 'crop' for `data.name=patches`, whose patches have "
    f'`data.image_size` anyway; got {config.data.resize!r}.',
  )


def _check_mixture(data: ml_collections.ConfigDict) -> None:
  for row in data.mixture:
    _require(
      isinstance(row, tuple)
      and [type(x) for x in row] == [float, str, str, str]
      and row[0] > 0,
      f'`data.mixture` must hold (share, name, data_dir, split), got {row!r}.',
    )
  total = sum(row[0] for row in data.mixture)
  _require(
    total < 1, f'The shares of `data.mixture` must add up to < 1, got {total}.'
  )


def _check_model(config: ml_collections.ConfigDict) -> None:
  stages = config.model.embedding_stages
  for stage in stages:
    _require(
      isinstance(stage, tuple)
      and len(stage) == 4
      and all(isinstance(x, int) and not isinstance(x, bool) for x in stage)
      and min(stage[0], stage[1], stage[3]) > 0
      and stage[2] >= 0,
      '`model.embedding_stages` must hold (width, stride, blocks, dilation), '
      f'got {stage!r}.',
    )
  _require(bool(stages), '`model.embedding_stages` must not be empty.')
  rate = config.model.dropout_rate
  _require(
    0 <= rate < 1, f'`model.dropout_rate` must be in [0, 1), got {rate}.'
  )
  heads = config.model.attention_heads
  _require(
    heads >= 0, f'`model.attention_heads` must be at least 0, got {heads}.'
  )
  weight = config.model.embedding_loss_weight
  _require(
    weight >= 0,
    f'`model.embedding_loss_weight` must be at least 0, got {weight}.',
  )
  model = pic.PIC(**config.model)
  _require(
    model.has_decoder or weight == 0,
    '`model.embedding_loss_weight` must be 0 where the embedding is all there '
    f'is (`model.head={model.head}`), got {weight}.',
  )
  _require(
    config.model.embedding_features >= model.num_outputs,
    '`model.embedding_features` must be at least the outputs of '
    f'`model.head={model.head}`, {model.num_outputs}, '
    f'got {config.model.embedding_features}.',
  )
  _require(
    not (config.sampling.guidance or config.sampling.photo_guidance)
    or (model.has_decoder and model.embedding_has_likelihood),
    '`sampling.guidance` must be 0 without a decoder, or an embedding that has '
    'a likelihood (`model.embedding_loss_weight`).',
  )
  _check_sizes(config)
  _check_backbone(config)


def _check_sizes(config: ml_collections.ConfigDict) -> None:
  size, factor = config.data.image_size, config.model.chroma_factor
  _require(
    size % factor == 0,
    '`data.image_size` must divide by `model.chroma_factor`, got '
    f'{size} and {factor}.',
  )
  strides = math.prod(row[1] for row in config.model.embedding_stages)
  _require(
    factor % strides == 0,
    '`model.chroma_factor` must divide by the product of the strides in '
    f'`model.embedding_stages`, got {factor} and {strides}.',
  )


def _check_backbone(config: ml_collections.ConfigDict) -> None:
  frozen, all_parts = config.model.frozen_parts, efficientnet_lite0.NUM_PARTS
  _require(
    0 <= frozen <= all_parts,
    f'`model.frozen_parts` must be from 0 to {all_parts}, got {frozen}.',
  )
  _require(
    config.model.backbone == 'none'
    or not frozen
    or bool(config.training.backbone_weights or config.training.init_from),
    '`training.backbone_weights` must name the weights of a backbone that is '
    'frozen; scripts/convert_efficientnet_lite0.py makes the file.',
  )


def check_devices(config: ml_collections.ConfigDict, num_devices: int) -> None:
  """Checks that the training batch divides over all devices of all hosts."""
  batch = config.training.batch_size
  _require(
    batch % num_devices == 0,
    '`training.batch_size` must divide by the number of devices, '
    f'got {batch} and {num_devices}.',
  )
