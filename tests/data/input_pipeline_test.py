"""Batches (order, flips, crops, padding), data sources and their errors."""

import itertools
import re

import numpy as np
import pytest

from pic_jax.data import input_pipeline, sources
from pic_jax.images import image_files, resizing
from pic_jax.runtime import errors
from tests import tiny


def source(count=50) -> np.ndarray:
  """Images [count, 4, 4, 3]: image i is i, but 255 in its left column."""
  rgb = np.broadcast_to(np.arange(count)[:, None, None, None], (count, 4, 4, 3))
  rgb = rgb.astype(np.uint8).copy()
  rgb[:, :, 0] = 255
  return rgb


def indices_of(batch: np.ndarray) -> np.ndarray:
  """Returns the indices in `source` of the images of a batch."""
  return batch[:, 0, 1, 0]


def is_flipped(batch: np.ndarray) -> np.ndarray:
  return batch[:, 0, -1, 0] == 255


def test_every_epoch_has_each_image_once_in_a_different_order():
  dataset = input_pipeline.train_dataset(source(), 10, seed=1)
  epochs = [
    np.concatenate([indices_of(dataset[t]) for t in range(5 * e, 5 * e + 5)])
    for e in range(3)
  ]
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
  for left, right in itertools.combinations([*epochs, np.arange(50)], 2):
    assert (left != right).any()


def test_batches_are_a_pure_function_of_seed_and_step():
  dataset = input_pipeline.train_dataset(source(), 8, seed=1)
  iterator = input_pipeline.train_batches(
    input_pipeline.train_dataset(source(), 8, seed=1), first_step=13
  )
  for step in range(13, 30):
    np.testing.assert_array_equal(next(iterator), dataset[step])
  other = input_pipeline.train_dataset(source(), 8, seed=2)
  assert (other[13] != dataset[13]).any()


def test_shares_of_the_hosts_join_to_the_batch_of_one_host():
  whole = input_pipeline.train_dataset(source(), 12, seed=1)
  shares = [
    input_pipeline.train_dataset(source(), 12, 1, host=host, num_hosts=3)
    for host in range(3)
  ]
  for step in (0, 7, 20):
    joined = np.concatenate([share[step] for share in shares])
    np.testing.assert_array_equal(joined, whole[step])


def test_images_are_flipped_independently_of_each_other():
  dataset = input_pipeline.train_dataset(source(), 50, seed=1)
  flips = np.stack([is_flipped(dataset[step]) for step in range(40)])
  assert 0.45 < flips.mean() < 0.55
  # If a batch were flipped as a whole, its share of flips would be 0 or 1.
  assert 0.2 < flips.mean(1).min() and flips.mean(1).max() < 0.8


def test_images_that_are_not_in_memory_give_the_same_batches():
  class OnDisk:
    def __len__(self):
      return 50

    def __getitem__(self, index):
      return source()[index]

  memory = input_pipeline.train_dataset(source(), 8, seed=1)
  disk = input_pipeline.train_dataset(OnDisk(), 8, seed=1)
  np.testing.assert_array_equal(disk[3], memory[3])


def mixture():
  """Images 0..39 with a share of 3/4 in a batch, and 40..49 with 1/4."""
  return sources.Mixture([source()[:40], source()[40:]], (0.75, 0.25))


def test_every_part_of_a_mixture_has_its_share_and_its_own_epochs():
  dataset = input_pipeline.train_dataset(mixture(), 8, seed=1)
  seen = np.stack([indices_of(dataset[step]) for step in range(20)])
  np.testing.assert_array_equal((seen >= 40).sum(1), 2)
  large, small = seen[seen < 40], seen[seen >= 40]
  for epoch in (large[:40], large[40:80], small[:10] - 40, small[10:20] - 40):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(len(epoch)))
  assert (large[:40] != large[40:80]).any()


def test_crops_are_squares_at_random_places_of_the_image():
  ramp = np.broadcast_to(np.arange(0, 240, 6)[None, :, None], (40, 40, 3))
  images = np.stack([ramp, ramp.swapaxes(0, 1)]).astype(np.uint8)
  dataset = input_pipeline.train_dataset(
    images[:1], 8, seed=1, smallest_crop=0.5
  )
  found = np.concatenate([dataset[step] for step in range(20)])
  found = found[..., 0].astype(float)
  # Sorted, because a crop may be flipped. The ramp ends at 234.
  edges = np.sort(found[:, 0][:, [0, -1]], 1)
  spans = (edges[:, 1] - edges[:, 0]) / 234
  assert spans.min() > 0.45 and np.quantile(spans, 0.1) < 0.6
  assert np.quantile(spans, 0.9) > 0.9
  centres = edges.mean(1)[spans < 0.6] / 234
  assert centres.min() < 0.4 and centres.max() > 0.6
  assert found.std(1).max() < 1  # columns stay constant: nothing is rotated
  plain = input_pipeline.train_dataset(images[:1], 8, seed=1)
  assert (np.sort(plain[0][:, 0, :, 0], 1) == images[0, 0, :, 0]).all()


def test_mixtures_and_crops_are_a_pure_function_of_seed_step_and_host():
  kwargs = dict(seed=1, smallest_crop=0.5)
  whole = input_pipeline.train_dataset(mixture(), 12, **kwargs)
  later = input_pipeline.train_batches(
    input_pipeline.train_dataset(mixture(), 12, **kwargs), first_step=9
  )
  np.testing.assert_array_equal(next(later), whole[9])
  shares = [
    input_pipeline.train_dataset(
      mixture(), 12, host=host, num_hosts=3, **kwargs
    )
    for host in range(3)
  ]
  joined = np.concatenate([share[9] for share in shares])
  np.testing.assert_array_equal(joined, whole[9])


@pytest.mark.parametrize('num_hosts,count', [(1, 21), (2, 21), (2, 17)])
def test_evaluation_covers_every_image_once(num_hosts, count):
  seen, num_batches = [], []
  for host in range(num_hosts):
    shares = list(
      input_pipeline.eval_batches(
        source(count), 8, -1, host=host, num_hosts=num_hosts
      )
    )
    num_batches.append(len(shares))
    for rgb, indices, mask in shares:
      assert len(rgb) == 8 // num_hosts
      np.testing.assert_array_equal(indices_of(rgb), indices)
      seen.extend(indices[mask])
  assert sorted(seen) == list(range(count))
  assert len(set(num_batches)) == 1
  assert num_batches[0] == -(-count // 8)  # rounded up
  limited = list(input_pipeline.eval_batches(source(21), 8, 5))
  assert len(limited) == 1 and limited[0][2].sum() == 5


def folder_config(path, **changes):
  config = tiny.config('smoke').data
  config.name, config.data_dir, config.image_size = 'folder', str(path), 16
  for name, value in changes.items():
    config[name] = value
  return config


def test_folder_is_split_by_slices_or_subfolders(tmp_path, capsys):
  tiny.write_folder(tmp_path / 'train', 8)
  tiny.write_folder(tmp_path / 'test' / 'cats', 3)
  config = folder_config(tmp_path)
  counts = {
    split: len(input_pipeline.open_source(config, split))
    for split in (
      'train',
      'test',
      'all',
      'train[:75%]',
      'train[6:]',
      'all[-2:]',
    )
  }
  assert counts == {
    'train': 8,
    'test': 3,
    'all': 11,
    'train[:75%]': 6,
    'train[6:]': 2,
    'all[-2:]': 2,
  }
  flat = folder_config(tmp_path / 'test')
  assert len(input_pipeline.open_source(flat, 'train')) == 3
  notes = [x for x in capsys.readouterr().err.splitlines() if 'no folder' in x]
  assert len(notes) == 1 and "'train'" in notes[0] and ' 3 images' in notes[0]
  batch = input_pipeline.open_source(config, 'train')
  assert batch.shape == (8, 16, 16, 3) and batch.dtype == np.uint8


def test_hidden_folders_and_folders_named_like_pictures_are_ignored(tmp_path):
  tiny.write_folder(tmp_path / 'a', 3)
  for name in ('.ipynb_checkpoints', 'a/.thumbnails', '.Trash-0/files'):
    tiny.write_folder(tmp_path / name, 2)
  (tmp_path / 'a' / 'raw.jpg').mkdir()
  assert len(input_pipeline.open_source(folder_config(tmp_path), 'all')) == 3


def test_a_split_without_its_subfolder_is_refused(tmp_path):
  tiny.write_folder(tmp_path / 'train', 8)
  tiny.write_folder(tmp_path / 'val', 3)
  for split in ('test', 'validation', 'tset[:50%]'):
    with pytest.raises(errors.UserError, match='only train, val'):
      input_pipeline.open_source(folder_config(tmp_path), split)


def test_pictures_of_a_folder_are_resized_as_the_config_says(tmp_path):
  rgb = tiny.images(1, 19, 43)[0]
  image_files.save_image(tmp_path / 'a.png', rgb)
  for method in resizing.METHODS:
    config = folder_config(tmp_path, resize=method)
    found = input_pipeline.open_source(config, 'train')[0]
    np.testing.assert_array_equal(found, resizing.fit(rgb, 16, method))


def test_arrays_are_read_alone_and_in_a_mixture(tmp_path):
  np.save(tmp_path / 'big.npy', tiny.images(9, 16, 16))
  np.save(tmp_path / 'wide.npy', tiny.images(5, 8, 12))
  config = folder_config(tmp_path, name='array')
  actual = input_pipeline.open_source(config, 'big[-4:]')
  np.testing.assert_array_equal(actual[1], tiny.images(9, 16, 16)[6])
  assert len(actual) == 4
  wide = input_pipeline.open_source(config, 'wide')
  expected = resizing.fit(tiny.images(5, 8, 12)[4], 16, 'crop')
  np.testing.assert_array_equal(wide[4], expected)
  config.train_split = 'big'
  config.mixture = ((0.25, 'array', '', 'wide[1:]'),)
  both = input_pipeline.open_training(config).images
  assert len(both) == 13 and both.shares == (0.75, 0.25)
  np.testing.assert_array_equal(both[12], wide[4])
  np.testing.assert_array_equal(both[8], tiny.images(9, 16, 16)[8])
  config.mixture = ((0.25, 'array', '', 'wide[1:]', 0),)  # 0 finer levels
  again = input_pipeline.open_training(config)
  np.testing.assert_array_equal(again.images[12], wide[4])


def test_patches_of_train_and_test_do_not_share_pixels(tmp_path):
  height, width = 64, 96
  ramp = np.broadcast_to(np.arange(width)[None, :, None], (height, width, 3))
  image_files.save_image(tmp_path / 'ramp.png', ramp.astype(np.uint8) * 2)
  config = folder_config(tmp_path, name='patches')
  train = input_pipeline.open_source(config, 'train')
  test = input_pipeline.open_source(config, 'test')
  assert train.max() < test.min() + 4  # resampling blurs the border a little
  assert len(train) > len(test) > 0


def test_mistakes_about_data_are_refused_in_one_line(tmp_path):
  np.save(tmp_path / 'grey.npy', np.zeros((3, 4, 4), np.uint8))
  np.save(tmp_path / 'lists.npy', np.array([{}]))  # needs pickle
  cases = [
    (folder_config(tmp_path, name='array'), 'none', 'none.npy'),
    (
      folder_config(tmp_path, name='array'),
      'grey',
      'must hold an array [N, H, W, 3]',
    ),
    (folder_config(tmp_path, name='array'), 'lists', 'not an array'),
    (folder_config(tmp_path / 'none'), 'train', 'data.data_dir'),
    (folder_config(tmp_path), 'train', 'No images'),
    (folder_config(tmp_path), 'train[', 'must look like'),
    (folder_config(tmp_path, name='patches'), 'train', 'photographs'),
    (folder_config(tmp_path, name='cifar10'), 'train', 'tfds build cifar10'),
    (folder_config(tmp_path, name='cifar11'), 'train', "'cifar11'"),
  ]
  for config, split, text in cases:
    with pytest.raises(errors.UserError, match=re.escape(text)) as error:
      input_pipeline.open_source(config, split)
    assert '\n' not in str(error.value)
