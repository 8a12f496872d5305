"""Images in, batches out: a pure function of (seed, step, host)."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import grain
import ml_collections
import numpy as np

from pic_jax.data import sources
from pic_jax.images import resizing
from pic_jax.runtime import errors, terminal

# Data sets up to this size are decoded once and kept in memory.
MEMORY_LIMIT_BYTES = 2 << 30
# Every other name is a tensorflow-datasets name.
DATASETS = {
  'array': sources.ArraySource,
  'folder': sources.FolderSource,
  'patches': sources.PatchSource,
}


def open_images(
  config: ml_collections.ConfigDict, split: str
) -> Sequence[np.ndarray]:
  """Opens a split of `config.data` without reading its images yet.

  Raises:
    UserError: not prepared, empty, or not a data set.
  """
  source = DATASETS.get(config.name, sources.TfdsSource)(config, split)
  if not len(source):
    raise errors.UserError(f'{config.name} {split!r} has no images.')
  return source


def open_source(
  config: ml_collections.ConfigDict, split: str
) -> Sequence[np.ndarray]:
  """Opens a split of `config.data`; items are [size, size, 3] uint8.

  Small data sets are decoded at once into one array.

  Raises:
    UserError: see `open_images`.
  """
  source = open_images(config, split)
  is_large = len(source) * config.image_size**2 * 3 > MEMORY_LIMIT_BYTES
  if is_large or isinstance(source, sources.ArraySource):
    return source
  terminal.say(f'Reading {config.name} {split}: {len(source)} images.')
  return np.stack([source[index] for index in range(len(source))])


def open_training(config: ml_collections.ConfigDict) -> Sequence[np.ndarray]:
  """Opens `data.train_split` and what `data.mixture` adds to it.

  Its rows are (share, name, data_dir, split); without a folder that of `data`.

  Raises:
    UserError: see `open_images`.
  """
  parts, shares = [open_source(config, config.train_split)], []
  for share, name, data_dir, split in config.mixture:
    other = config.copy_and_resolve_references()
    other.name, other.data_dir = name, data_dir or config.data_dir
    parts.append(open_source(other, split))
    shares.append(share)
  if not shares:
    return parts[0]
  return sources.Mixture(parts, (1.0 - sum(shares), *shares))


def _crop(rgb: np.ndarray, corner: np.ndarray, share: float) -> np.ndarray:
  """Cuts a square of this share of the side, scaled up to the old size."""
  size = len(rgb)
  side = round(share * size)
  top, left = (corner * (size - side + 1)).astype(int)
  square = rgb[top : top + side, left : left + side]
  return resizing.fit(square, size, 'crop')


def _gather(
  source: Sequence[np.ndarray],
) -> Callable[[tuple[np.ndarray, np.ndarray]], np.ndarray]:
  """Turns codes 2 * index + flip [B] and crops [B, 3] into images [B, H, W, 3].

  A crop is its share of the side, and where its corner is, in [0, 1).
  """

  def gather(batch: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    codes, crops = batch
    indices, flips = codes // 2, (codes % 2).astype(bool)
    if isinstance(source, np.ndarray):
      images = source[indices]
    else:
      images = np.stack([source[index] for index in indices])
    for image, (share, *corner) in zip(images, crops, strict=True):
      if share < 1:
        image[:] = _crop(image, np.array(corner), share)
    images[flips] = images[flips, :, ::-1]
    return images

  return gather


def _shuffled(source: Sequence[np.ndarray], seed: int) -> grain.MapDataset:
  """Endless indices; of a mixture, each part in its share and epochs."""
  if not isinstance(source, sources.Mixture):
    return grain.MapDataset.range(len(source)).shuffle(seed=seed).repeat()
  parts = [
    grain.MapDataset.range(begin, end).shuffle(seed=seed).repeat()
    for begin, end in itertools.pairwise((0, *source.ends))
  ]
  return grain.MapDataset.mix(parts, source.shares)


def train_dataset(
  source: Sequence[np.ndarray],
  batch_size: int,
  seed: int,
  host: int = 0,
  num_hosts: int = 1,
  smallest_crop: float = 1.0,
) -> grain.MapDataset:
  """Endless shuffled batches; item t is this host's share of step t.

  Every epoch has an order of its own; every image is flipped on its own coin.
  The hosts' batches, one after the other, are one host's batch.

  Args:
    source: see `open_training`.
    batch_size: global; divides by `num_hosts`.
    seed: of order, flips and crops.
    host, num_hosts: which share.
    smallest_crop: an image is cut to a square anywhere in it, whose side is
      from this share of its own to all of it; 1: never.

  Returns:
    A data set of [batch_size / num_hosts, H, W, 3] uint8.
  """

  def draw(
    index: int, rng: np.random.Generator
  ) -> tuple[np.ndarray, np.ndarray]:
    code = np.asarray(2 * index + rng.integers(2))
    if smallest_crop == 1:
      return code, np.ones(3)
    share, *corner = rng.random(3)
    share = smallest_crop + (1 - smallest_crop) * share
    return code, np.array([share, *corner])

  codes = _shuffled(source, seed).random_map(draw, seed=seed + 1)
  size = batch_size // num_hosts
  share = slice(host * size, (host + 1) * size)
  gather = _gather(source)
  return codes.batch(batch_size).map(
    lambda batch: gather(tuple(x[share] for x in batch))
  )


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
