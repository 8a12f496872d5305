"""Checks of a config's names, types and values.

Every error is one line that names the field.
"""

import difflib
import math
from typing import Any

import ml_collections

from pic_jax.data import sources
from pic_jax.model import pic
from pic_jax.runtime import errors, fields
from pic_jax.saved import config_fields


def _check_known(where: str, names: Any, expected: Any) -> None:
  """Refuses unknown names, and suggests the nearest known name.

  Args:
    where: prefix of the names in messages, such as 'data.'.
    names: names of fields or sections that were given.
    expected: names that exist.

  Raises:
    UserError: if a name is unknown.
  """
  for name in names:
    if name not in expected:
      matches = difflib.get_close_matches(name, expected, n=1, cutoff=0.0)
      near = where + matches[0]
      # This field was moved to `model`; see `earlier_versions.upgrade`.
      if f'{where}{name}' == 'data.chroma_filter':
        near = 'model.chroma_filter'
      raise errors.UserError(
        f'Unknown field `{where}{name}`; the nearest is `{near}`.'
      )


def _check_names(where: str, names: Any, expected: Any) -> None:
  """Refuses unknown and missing names; for the arguments see `_check_known`.

  Raises:
    UserError: if a name is unknown or missing.
  """
  _check_known(where, names, expected)
  for name in expected:
    if name not in names:
      raise errors.UserError(f'Missing field `{where}{name}`.')


def check_path(path: str) -> None:
  """Checks that a field or a section exists.

  Args:
    path: 'section.field', such as 'data.image_size', or 'section'.

  Raises:
    UserError: if the field or section does not exist. The message gives the
      nearest name.
  """
  defaults = config_fields.defaults()
  section, *rest = path.split('.')
  _check_known('', [section], defaults)
  _check_known(f'{section}.', rest[:1], defaults[section])


def _require(condition: bool, message: str) -> None:
  """Raises `UserError` if a condition does not hold."""
  if not condition:
    raise errors.UserError(message)


def check(config: ml_collections.ConfigDict) -> None:
  """Checks the names, types and values of all fields.

  Raises:
    UserError: if there is a mistake. The message describes the first mistake.
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
  """Checks the fields of `data` that depend on each other."""
  if config.data.name in sources.DATASETS:
    _require(
      bool(config.data.data_dir),
      f'`data.data_dir` must name a folder for `data.name={config.data.name}`.',
    )
  _require(
    config.data.name != 'patches' or config.data.resize == 'crop',
    "`data.resize` must be 'crop' for `data.name=patches`, because patches "
    f'already have `data.image_size`; got {config.data.resize!r}.',
  )


# Types of a row (share, name, data_dir, split) of `data.mixture`. A fifth entry
# may follow: the number of levels, an int.
MIXTURE_ROW = [float, str, str, str]


def _check_mixture(data: ml_collections.ConfigDict) -> None:
  """Checks the rows of `data.mixture` and the sum of their shares."""
  for row in data.mixture:
    _require(
      isinstance(row, tuple)
      and [type(x) for x in row] in (MIXTURE_ROW, [*MIXTURE_ROW, int])
      and row[0] > 0,
      'Each row of `data.mixture` must hold (share, name, data_dir, split), '
      'where share is a float > 0. A fifth entry may hold a number of levels; '
      f'got {row!r}.',
    )
  total = sum(row[0] for row in data.mixture)
  _require(
    total < 1,
    f'The shares of `data.mixture` must add up to less than 1, got {total}.',
  )


def _check_model(config: ml_collections.ConfigDict) -> None:
  """Checks the fields of `model`, and fields that depend on the model."""
  stages = config.model.embedding_stages
  for stage in stages:
    _require(
      isinstance(stage, tuple)
      and len(stage) == 4
      and all(isinstance(x, int) and not isinstance(x, bool) for x in stage)
      and min(stage[0], stage[1], stage[3]) > 0
      and stage[2] >= 0,
      'Each row of `model.embedding_stages` must hold (width, stride, blocks, '
      'dilation). All must be positive integers; only `blocks` may be 0; '
      f'got {stage!r}.',
    )
  _require(bool(stages), '`model.embedding_stages` must not be empty.')
  model = pic.PIC(**config.model)
  _require(
    model.has_decoder or model.embedding_loss_weight == 0,
    '`model.embedding_loss_weight` must be 0 for a model without a decoder '
    f'(`model.head={model.head}`), got {model.embedding_loss_weight}.',
  )
  _require(
    config.model.embedding_features >= model.num_outputs,
    '`model.embedding_features` must be at least the number of outputs of '
    f'`model.head={model.head}`, {model.num_outputs}, '
    f'got {config.model.embedding_features}.',
  )
  _require(
    not config.sampling.guidance
    or (model.has_decoder and model.embedding_has_likelihood),
    '`sampling.guidance` must be 0 for a model without a decoder, or with '
    f'`model.embedding_loss_weight=0`, got {config.sampling.guidance}.',
  )
  _require(
    model.backbone == 'none'
    or not model.frozen_parts
    or bool(config.training.backbone_weights or config.training.init_from),
    'A frozen backbone needs weights. Set `training.backbone_weights` to the '
    'file that scripts/convert_efficientnet_lite0.py makes.',
  )
  _check_levels(config)
  _check_sizes(config)


def _check_levels(config: ml_collections.ConfigDict) -> None:
  """Checks `model.levels` and the fields that refer to levels."""
  model = pic.PIC(**config.model)
  _require(
    not model.levels or (model.has_decoder and model.chroma_filter == 'area'),
    '`model.levels` must be 0 for a model without a decoder or with '
    f"`model.chroma_filter='point'`, got {model.levels}.",
  )
  networks = ['embedding', 'decoder'] if model.has_decoder else ['embedding']
  networks += [f'level_{level}' for level in range(1, model.levels + 1)]
  for name in config.training.frozen:
    _require(
      name in networks,
      f'`training.frozen` may hold only {", ".join(networks)}, got {name!r}.',
    )
  _require(
    len(set(config.training.frozen)) < len(networks),
    '`training.frozen` must not hold all networks of the model.',
  )
  for row in config.data.mixture:
    num_levels = row[4] if len(row) > 4 else 0
    _require(
      0 <= num_levels <= model.levels,
      'The number of levels in a row of `data.mixture` must be from 0 to '
      f'`model.levels`, {model.levels}, got {row!r}.',
    )


def _check_sizes(config: ml_collections.ConfigDict) -> None:
  """Checks that image size, chroma factor and strides divide evenly."""
  size = config.data.image_size
  coarsest_factor = config.model.chroma_factor << config.model.levels
  _require(
    size % coarsest_factor == 0,
    '`data.image_size` must be divisible by `model.chroma_factor * '
    f'2**model.levels`, got {size} and {coarsest_factor}.',
  )
  total_stride = math.prod(row[1] for row in config.model.embedding_stages)
  _require(
    coarsest_factor % total_stride == 0,
    '`model.chroma_factor * 2**model.levels` must be divisible by the product '
    'of the strides in `model.embedding_stages`, got '
    f'{coarsest_factor} and {total_stride}.',
  )


def check_devices(config: ml_collections.ConfigDict, num_devices: int) -> None:
  """Checks that a training batch can be split evenly over all devices.

  Args:
    config: config of the run.
    num_devices: number of devices of all hosts.

  Raises:
    UserError: if the batch size is not a multiple of `num_devices`.
  """
  batch = config.training.batch_size
  _require(
    batch % num_devices == 0,
    '`training.batch_size` must be divisible by the number of devices, '
    f'got {batch} and {num_devices}.',
  )
