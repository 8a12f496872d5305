"""Images in, batches out: a pure function of (seed, step, host)."""

from collections.abc import Callable, Iterator, Sequence

import grain
import ml_collections
import numpy as np

from pic_jax.data import sources
from pic_jax.runtime import run_log

# Data sets up to this size are decoded once and kept in memory.
MEMORY_LIMIT_BYTES = 2 << 30
# Every other name is a tensorflow-datasets name.
DATASETS = {'folder': sources.FolderSource, 'patches': sources.PatchSource}


def open_images(
  config: ml_collections.ConfigDict, split: str
) -> Sequence[np.ndarray]:
  """Opens a split of `config.data` without reading its images yet.

  Raises:
    sources.DataError: not prepared, empty, or not a data set.
  """
  source = DATASETS.get(config.name, sources.TfdsSource)(config, split)
  if not len(source):
    raise sources.DataError(f'{config.name} {split!r} has no images.')
  return source


def open_source(
  config: ml_collections.ConfigDict, split: str
) -> Sequence[np.ndarray]:
  """Opens a split of `config.data`; items are [size, size, 3] uint8.

  Small data sets are decoded at once into one array.

  Raises:
    sources.DataError: see `open_images`.
  """
  source = open_images(config, split)
  if len(source) * config.image_size**2 * 3 > MEMORY_LIMIT_BYTES:
    return source
  run_log.say(f'Reading {config.name} {split}: {len(source)} images.')
  return np.stack([source[index] for index in range(len(source))])


def _gather(
  source: Sequence[np.ndarray],
) -> Callable[[np.ndarray], np.ndarray]:
  """Turns codes 2 * index + flip [B] into images [B, H, W, 3] uint8."""

  def gather(codes: np.ndarray) -> np.ndarray:
    indices, flips = codes // 2, (codes % 2).astype(bool)
    if isinstance(source, np.ndarray):
      batch = source[indices]
    else:
      batch = np.stack([source[index] for index in indices])
    batch[flips] = batch[flips, :, ::-1]
    return batch

  return gather


def train_dataset(
  source: Sequence[np.ndarray],
  batch_size: int,
  seed: int,
  host: int = 0,
  num_hosts: int = 1,
) -> grain.MapDataset:
  """Endless shuffled batches; item t is this host's share of step t.

  Every epoch has an order of its own; every image is flipped on its own coin.
  The hosts' batches, one after the other, are one host's batch.

  Args:
    source: see `open_source`.
    batch_size: global; divides by `num_hosts`.
    seed: of order and flips.
    host, num_hosts: which share.

  Returns:
    A data set of [batch_size / num_hosts, H, W, 3] uint8.
  """
  codes = grain.MapDataset.range(len(source)).shuffle(seed=seed).repeat()
  codes = codes.random_map(
    lambda index, rng: 2 * index + int(rng.integers(2)), seed=seed + 1
  )
  size = batch_size // num_hosts
  share = slice(host * size, (host + 1) * size)
  gather = _gather(source)
  return codes.batch(batch_size).map(lambda batch: gather(batch[share]))


def train_batches(
  dataset: grain.MapDataset, first_step: int
) -> Iterator[np.ndarray]:
  """Prefetches a data set from a step on; nothing of it need be stored."""
  options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=8)
  return iter(dataset[first_step:].to_iter_dataset(options))


def eval_batches(
  source: Sequence[np.ndarray],
  batch_size: int,
  num_images: int = -1,
  host: int = 0,
  num_hosts: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Yields this host's share of batches that hold every image exactly once.

  All hosts yield the same number of batches; together they are padded at the
  end only.

  Args:
    source: see `open_source`.
    batch_size: global; divides by `num_hosts`.
    num_images: only the first ones; -1 for all.
    host, num_hosts: which share of every batch.

  Yields:
    With b = batch_size / num_hosts: images [b, H, W, 3] uint8, their indices
    [b], and a mask [b] that is False for padding.
  """
  total = len(source) if num_images < 0 else min(num_images, len(source))
  size = batch_size // num_hosts
  for first in range(0, total, batch_size):
    indices = first + host * size + np.arange(size)
    mask = indices < total
    indices = np.where(mask, indices, 0)
    yield np.stack([source[index] for index in indices]), indices, mask
