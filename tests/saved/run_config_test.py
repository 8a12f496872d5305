"""Parameter counts of every config, configs in JSON, and errors in configs."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import ml_collections
import pytest

from pic_jax.model import pic
from pic_jax.runtime import errors
from pic_jax.sampling import sample
from pic_jax.saved import config_check, config_fields, run_config
from tests import tiny

NUM_PARAMETERS = {
  'cifar10': 25_874_304,
  'cifar10_classification': 13_934_728,
  'cifar10_embedding': 13_925_504,
  'cifar10_no_gating': 17_869_824,
  'cifar10_regression': 13_925_504,
  'cifar10_medium': 994_272,
  'cifar10_muon': 1_303_574,
  'cifar10_small': 445_424,
  'demo': 445_424,
  'imagenet128': 113_124_352,
  'imagenet128_embedding': 100_520_192,
  'photos128': 4_937_606,
  'my_photos': 5_706_766,
  'photos256': 4_937_606,
  'photos256_levels': 5_706_766,
  'smoke': 24_520,
}


def test_every_config_is_in_the_table():
  assert set(tiny.CONFIGS) == set(NUM_PARAMETERS)


@pytest.mark.parametrize('name', NUM_PARAMETERS)
def test_config_is_valid_and_has_the_number_of_parameters_in_the_table(name):
  config = tiny.config(name)
  assert config.is_locked
  config_check.check(config)
  net = run_config.build_model(config)
  size = config.data.image_size
  chroma_size = size // net.chroma_factor
  shapes = jax.eval_shape(
    net.init,
    jax.random.key(0),
    jnp.zeros((1, size, size, 1)),
    jnp.zeros((1, chroma_size, chroma_size, 2)),
  )['params']
  assert sum(x.size for x in jax.tree.leaves(shapes)) == NUM_PARAMETERS[name]


def test_json_round_trip_gives_the_same_model():
  config = tiny.config('cifar10')
  again = run_config.from_json(run_config.to_json(config))
  assert again.to_dict() == config.to_dict()
  assert hash(run_config.build_model(again)) == hash(
    run_config.build_model(config)
  )


def test_json_of_an_older_version_gets_defaults_for_missing_fields():
  sections = tiny.config('smoke').to_dict()
  del sections['training']['log_every_steps'], sections['model']['head']
  config = run_config.from_json(json.dumps(sections))
  assert config.training.log_every_steps == 100
  assert config.model.head == 'decoder'


def test_the_chroma_filter_of_an_older_version_moves_to_the_model():
  sections = tiny.config('smoke').to_dict()
  del sections['model']['chroma_filter']
  sections['data']['chroma_filter'] = 'area'
  config = run_config.from_json(json.dumps(sections))
  assert config.model.chroma_filter == 'area'
  sections['model']['chroma_filter'] = 'area'
  with pytest.raises(errors.UserError, match='remove the former'):
    run_config.from_json(json.dumps(sections))


def test_the_error_for_a_moved_field_names_its_new_section():
  expected = '`data.chroma_filter`; the nearest is `model.chroma_filter`'
  with pytest.raises(errors.UserError, match=expected):
    config_check.check_path('data.chroma_filter')


def test_the_model_section_has_exactly_the_fields_of_the_network():
  names = {field.name for field in dataclasses.fields(pic.PIC)}
  assert set(config_fields.defaults().model) == names - {'parent', 'name'}


def changed_config(section, name, value):
  """Returns configs/smoke.py with another value in one field."""
  config = tiny.config('smoke').to_dict()
  config[section][name] = value
  return ml_collections.ConfigDict(config)


@pytest.mark.parametrize(
  'section,name,value,text',
  [
    ('model', 'decoder_feature', 8, 'nearest is `model.decoder_features`'),
    ('training', 'batchsize', 8, 'nearest is `training.batch_size`'),
    ('data', 'test_split', 'test[', "must look like 'train[:90%]'"),
    ('training', 'batch_size', 8.5, '`training.batch_size` must be of type'),
    ('training', 'batch_size', 0, '`training.batch_size` must be positive'),
    ('training', 'batch_size', True, '`training.batch_size` must be of type'),
    ('optimizer', 'b1', True, '`optimizer.b1` must be of type'),
    ('optimizer', 'learning_rate', float('nan'), 'must be finite, got nan'),
    (
      'optimizer',
      'ema_decay',
      1.5,
      '`optimizer.ema_decay` must be in (0, 1], got',
    ),
    ('model', 'dropout_rate', 1.0, '`model.dropout_rate` must be in'),
    ('model', 'dtype', 'float16', '`model.dtype` must be one of'),
    ('model', 'embedding_features', 79, 'head=decoder`, 80, got 79'),
    ('model', 'head', 'mixture', 'must be 0 for a model without'),
    ('model', 'head', 'mean', '`model.head` must be one of decoder, mixture'),
    ('optimizer', 'decay_rate', 1.5, 'must be in (0, 1], got 1.5'),
    ('optimizer', 'decay_rate', 0.0, 'must be in (0, 1], got 0.0'),
    ('model', 'embedding_stages', ((8, 1, 1),), '(width, stride, blocks'),
    ('model', 'embedding_stages', (), 'must not be empty'),
    ('model', 'embedding_loss_weight', -1.0, 'must be at least 0'),
    ('data', 'image_size', 31, 'got 31 and 2'),
    ('model', 'chroma_filter', 'box', '`model.chroma_filter` must be one of'),
    ('data', 'chroma_filter', 'area', 'nearest is `model.chroma_filter`'),
    ('data', 'resize', 'stretch', '`data.resize` must be one of crop, squash'),
    ('data', 'resize', 'squash', "must be 'crop' for `data.name=patches`"),
    ('data', 'data_dir', '', '`data.data_dir` must name a folder'),
    ('data', 'mixture', ((0.5, 'array', 'x'),), 'hold (share, name,'),
    ('data', 'mixture', ((1.5, 'array', 'x', 'y'),), 'add up to less than 1'),
    ('data', 'smallest_crop', 1.5, 'must be in (0, 1], got 1.5'),
    ('model', 'embedding_stages', (8, 1, 1, 1), '(width, stride, blocks'),
    ('training', 'seed', -1, '`training.seed` must be from 0'),
    ('sampling', 'num_images', 0, '`sampling.num_images` must be positive'),
    ('evaluation', 'num_validation_images', -2, 'positive, or -1 for all'),
    ('data', 'max_unreadable', -2, 'must be at least 0, or -1 for the'),
    ('sampling', 'method', 'fast', '`sampling.method` must be one of'),
    ('sampling', 'guidance', -1.0, '`sampling.guidance` must be at least'),
    (
      'sampling',
      'temperature',
      -1.0,
      '`sampling.temperature` must be at least',
    ),
  ],
)
def test_a_wrong_field_or_value_is_explained_in_one_line(
  section, name, value, text
):
  with pytest.raises(errors.UserError) as error:
    config_check.check(changed_config(section, name, value))
  assert text in str(error.value) and '\n' not in str(error.value)


def test_missing_fields_and_sections_are_named():
  config = tiny.config('smoke').to_dict()
  del config['training']['seed']
  with pytest.raises(errors.UserError, match='Missing.*training.seed'):
    config_check.check(ml_collections.ConfigDict(config))
  del config['sampling']
  with pytest.raises(errors.UserError, match='Missing field `sampling`'):
    config_check.check(ml_collections.ConfigDict(config))


def test_the_batch_size_must_be_divisible_by_the_number_of_devices():
  with pytest.raises(errors.UserError, match='got 8 and 3'):
    config_check.check_devices(tiny.config('smoke'), 3)


@pytest.mark.parametrize('method', sample.METHODS)
def test_every_sampling_method_is_accepted(method):
  config_check.check(changed_config('sampling', 'method', method))
