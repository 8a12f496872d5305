"""Checking a config: names, types, values; one line names the field."""

import difflib
import math
from typing import Any

import ml_collections

from pic_jax.data import sources
from pic_jax.model import pic
from pic_jax.runtime import errors, fields
from pic_jax.saved import config_fields


def _check_known(where: str, names: Any, expected: Any) -> None:
  for name in names:
    if name not in expected:
      near = difflib.get_close_matches(name, expected, 1, 0.0)[0]
      if f'{where}{name}' == 'data.chroma_filter':
        where, near = '', 'model.chroma_filter'
      raise errors.UserError(
        f'Unknown field `{where}{name}`; the nearest is `{where}{near}`.'
      )


def _check_names(where: str, names: Any, expected: Any) -> None:
  _check_known(where, names, expected)
  for name in expected:
    if name not in names:
      raise errors.UserError(f'Missing field `{where}{name}`.')


def check_path(path: str) -> None:
  """Checks that 'data.image_size' or 'data' names a field or a section.

  Raises:
    UserError: it does not; names the nearest one.
  """
  defaults = config_fields.defaults()
  section, *rest = path.split('.')
  _check_known('', [section], defaults)
  _check_known(f'{section}.', rest[:1], defaults[section])


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
    for name, declaration in config_fields.declared(section).items():
      fields.check(f'{section}.{name}', config[section][name], declaration)
  _check_data(config)
  _check_mixture(config.data)
  _check_model(config)
  for name in ('train_split', 'validation_split', 'test_split'):
    sources.parse_split(config.data[name], 0)


def _check_data(config: ml_collections.ConfigDict) -> None:
  if config.data.name in sources.DATASETS:
    _require(
      bool(config.data.data_dir),
      f'`data.data_dir` must name a folder for `data.name={config.data.name}`.',
    )
  _require(
    config.data.name != 'patches' or config.data.resize == 'crop',
    "`data.resize` must be 'crop' for `data.name=patches`, whose patches have "
    f'`data.image_size` anyway; got {config.data.resize!r}.',
  )


# Types of (share, name, data_dir, split).
MIXTURE_ROW = [float, str, str, str]


def _check_mixture(data: ml_collections.ConfigDict) -> None:
  for row in data.mixture:
    _require(
      isinstance(row, tuple)
      and [type(x) for x in row] in (MIXTURE_ROW, [*MIXTURE_ROW, int])
      and row[0] > 0,
      '`data.mixture` must hold (share, name, data_dir, split) or these and a '
      f'number of levels, got {row!r}.',
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
  model = pic.PIC(**config.model)
  _require(
    model.has_decoder or model.embedding_loss_weight == 0,
    '`model.embedding_loss_weight` must be 0 where the embedding is all there '
    f'is (`model.head={model.head}`), got {model.embedding_loss_weight}.',
  )
  _require(
    config.model.embedding_features >= model.num_outputs,
    '`model.embedding_features` must be at least the outputs of '
    f'`model.head={model.head}`, {model.num_outputs}, '
    f'got {config.model.embedding_features}.',
  )
  _require(
    not config.sampling.guidance
    or (model.has_decoder and model.embedding_has_likelihood),
    '`sampling.guidance` must be 0 without a decoder, or an embedding that has '
    'a likelihood (`model.embedding_loss_weight`).',
  )
  _require(
    model.backbone == 'none'
    or not model.frozen_parts
    or bool(config.training.backbone_weights or config.training.init_from),
    '`training.backbone_weights` must name the weights of a backbone that is '
    'frozen; scripts/convert_efficientnet_lite0.py makes the file.',
  )
  _check_levels(config)
  _check_sizes(config)


def _check_levels(config: ml_collections.ConfigDict) -> None:
  model = pic.PIC(**config.model)
  _require(
    not model.levels or (model.has_decoder and model.chroma_filter == 'area'),
    '`model.levels` must be 0 without a decoder or with '
    f"`model.chroma_filter='point'`, got {model.levels}.",
  )
  networks = ['embedding', 'decoder'] if model.has_decoder else ['embedding']
  networks += [f'level_{level}' for level in range(1, model.levels + 1)]
  for name in config.training.frozen:
    _require(
      name in networks,
      f'`training.frozen` must hold some of {", ".join(networks)}, '
      f'got {name!r}.',
    )
  _require(
    len(set(config.training.frozen)) < len(networks),
    '`training.frozen` leaves nothing to learn.',
  )
  for row in config.data.mixture:
    _require(
      0 <= (*row, 0)[4] <= model.levels,
      f'A row of `data.mixture` must teach at most the {model.levels} levels '
      f'of the model, got {row!r}.',
    )


def _check_sizes(config: ml_collections.ConfigDict) -> None:
  size = config.data.image_size
  factor = config.model.chroma_factor << config.model.levels
  _require(
    size % factor == 0,
    '`data.image_size` must divide by `model.chroma_factor` (times 2 for each '
    'of `model.levels`), got '
    f'{size} and {factor}.',
  )
  strides = math.prod(row[1] for row in config.model.embedding_stages)
  _require(
    factor % strides == 0,
    '`model.chroma_factor` (times 2 for each of `model.levels`) must divide by '
    'the product of the strides in `model.embedding_stages`, got '
    f'{factor} and {strides}.',
  )


def check_devices(config: ml_collections.ConfigDict, num_devices: int) -> None:
  """Checks that the training batch divides over all devices of all hosts."""
  batch = config.training.batch_size
  _require(
    batch % num_devices == 0,
    '`training.batch_size` must divide by the number of devices, '
    f'got {batch} and {num_devices}.',
  )
