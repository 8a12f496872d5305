"""Reading of ILSVRC and training on it, with a tiny `imagenet2012`."""

import json

import numpy as np
import pytest

from pic_jax.data import input_pipeline
from pic_jax.images import resizing
from pic_jax.training import loop
from tests import tiny, tiny_tfds
from tests.images import resizing_test

NUM_TRAIN = 26
WIDE, TALL, GREY = 0, 1, 2  # indices of the pictures in 'validation'


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  """Writes a data set whose 'validation' split has three known pictures."""
  folder = tmp_path_factory.mktemp('tfds')
  grey = np.repeat(np.linspace(20, 220, 31)[:, None], 37, 1).astype(np.uint8)
  tiny_tfds.write(
    folder,
    {
      'train': [
        tiny.images(1, 17 + number, 41 - number, seed=number)[0]
        for number in range(NUM_TRAIN)
      ],
      'validation': [resizing_test.thirds(1), resizing_test.thirds(0), grey],
    },
  )
  return str(folder)


def data_config(data_dir, resize_method):
  """The data section of configs/imagenet128.py, with splits of `data_dir`."""
  config = tiny.config('imagenet128').data
  config.data_dir, config.resize = data_dir, resize_method
  config.train_split, config.validation_split = 'train[10:]', 'train[:10]'
  return config


@pytest.mark.parametrize('method', resizing.METHODS)
def test_every_split_is_read_at_the_size_of_the_config(data_dir, method):
  config = data_config(data_dir, method)
  splits = config.train_split, config.validation_split, config.test_split
  for split, count in zip(splits, (NUM_TRAIN - 10, 10, 3), strict=True):
    found = input_pipeline.open_source(config, split)
    assert found.shape == (count, 128, 128, 3) and found.dtype == np.uint8


def test_slices_join_to_the_whole_split(data_dir):
  config = data_config(data_dir, 'squash')
  whole = input_pipeline.open_source(config, 'train')
  parts = [
    input_pipeline.open_source(config, split)
    for split in (config.validation_split, config.train_split)
  ]
  np.testing.assert_array_equal(np.concatenate(parts), whole)
  assert len({picture.tobytes() for picture in whole}) == NUM_TRAIN


def test_crop_keeps_the_aspect_ratio_and_squash_keeps_the_borders(data_dir):
  crop, squash = (
    input_pipeline.open_images(data_config(data_dir, method), 'validation')
    for method in resizing.METHODS
  )
  inner = slice(12, -12)  # without the blurred borders of the square
  for index in (WIDE, TALL):
    assert (abs(crop[index][inner, inner] - 200.0) <= 6).all()
  centres = [21, 64, 107]  # of the three squares
  np.testing.assert_allclose(
    squash[WIDE][64, centres, 0], resizing_test.LEVELS, atol=6
  )
  np.testing.assert_allclose(
    squash[TALL][centres, 64, 0], resizing_test.LEVELS, atol=6
  )


@pytest.mark.parametrize('method', resizing.METHODS)
def test_a_grey_jpeg_gets_three_equal_channels(data_dir, method):
  picture = input_pipeline.open_images(
    data_config(data_dir, method), 'validation'
  )[GREY]
  assert picture.shape == (128, 128, 3)
  assert (picture == picture[..., :1]).all()
  assert (np.diff(picture[..., 0].mean(1)) > 0).mean() > 0.9  # still a ramp


@pytest.mark.slow
def test_a_narrow_model_is_trained_for_a_step(data_dir, tmp_path):
  config = tiny.narrow_config('imagenet128', data_dir)
  config.data.name, config.data.resize = 'imagenet2012', 'squash'
  config.data.train_split = 'train[10:]'
  config.data.validation_split = 'train[:10]'
  config.data.test_split = 'validation'
  config.training.num_steps = 1
  loop.train_and_evaluate(config, str(tmp_path))
  lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  bits = [json.loads(line).get('bits_per_dim') for line in lines]
  assert any(value is not None and 2 < value < 12 for value in bits)
