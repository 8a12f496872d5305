"""Images in, batches out: a pure function of (seed, step, host)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grain
import ml_collections
import numpy as np

from pic_jax.data import fingerprints, sources, unreadable
from pic_jax.images import resizing
from pic_jax.runtime import errors, terminal

# Data sets up to this size are decoded once and kept in memory.
MEMORY_LIMIT_BYTES = 2 << 30


def open_images(
  config: ml_collections.ConfigDict, split: str
) -> Sequence[np.ndarray]:
  """Opens a split of `config.data` without reading its images yet.

  Raises:
    UserError: not prepared, empty, or not a data set.
  """
  source = sources.DATASETS.get(config.name, sources.TfdsSource)(config, split)
  if not len(source):
    raise errors.UserError(f'{config.name} {split!r} has no images.')
  return source


def open_source(
  config: ml_collections.ConfigDict, split: str, is_training: bool = False
) -> Sequence[np.ndarray]:
  """Opens a split of `config.data`; items are [size, size, 3] uint8.

  Small data sets are decoded at once into one array. An item that is damaged
  or missing raises `UnreadableError`, up to `data.max_unreadable` of them.

  Raises:
    UserError: see `open_images`; or too many images cannot be read.
  """
  return _decoded(
    config, open_images(config, split), split, is_training=is_training
  )


def open_test(config: ml_collections.ConfigDict) -> Sequence[np.ndarray]:
  """Opens the test split of a whole config; see `open_source`."""
  return open_source(config.data, config.data.test_split)


def _decoded(
  config: ml_collections.ConfigDict,
  source: Sequence[np.ndarray],
  split: str,
  *,
  is_training: bool,
) -> Sequence[np.ndarray]:
  """Decodes an open source; see `open_source`."""
  if isinstance(source, sources.ArraySource):
    return source
  tolerant = unreadable.Tolerant(
    source,
    unreadable.limit(config.max_unreadable, len(source), is_training),
    'The next one takes its place' if is_training else 'It is left out',
  )
  if len(source) * config.image_size**2 * 3 > MEMORY_LIMIT_BYTES:
    return tolerant
  terminal.say(f'Reading {config.name} {split}: {len(source)} images.')
  return tolerant.decoded(config.image_size)


class TrainingImages(NamedTuple):
  """Training images and their fingerprint.

  Attributes:
    images: see `open_training`.
    fingerprint: of their names and sizes; see `fingerprints`.
  """

  images: Sequence[np.ndarray]
  fingerprint: dict[str, Any]


def open_training(config: ml_collections.ConfigDict) -> TrainingImages:
  """Opens `data.train_split` and what `data.mixture` adds to it.

  Its rows are (share, name, data_dir, split); without a folder that of `data`.

  Raises:
    UserError: see `open_images`.
  """
  rows = [(1.0, config.name, config.data_dir, config.train_split)]
  rows += [tuple(row) for row in config.mixture]
  parts, listing = [], []
  for _, name, data_dir, split in rows:
    part = config.copy_and_resolve_references()
    part.name, part.data_dir = name, data_dir or config.data_dir
    source = open_images(part, split)
    listing.append(source.listing())
    parts.append(_decoded(part, source, split, is_training=True))
  images = parts[0]
  if config.mixture:
    shares = [share for share, *_ in config.mixture]
    images = sources.Mixture(parts, (1.0 - sum(shares), *shares))
  return TrainingImages(images, fingerprints.of_listing(listing, len(images)))


def _crop(rgb: np.ndarray, corner: np.ndarray, share: float) -> np.ndarray:
  """Crops a square of this share of the side and rescales it."""
  size = len(rgb)
  side = round(share * size)
  top, left = (corner * (size - side + 1)).astype(int)
  square = rgb[top : top + side, left : left + side]
  return resizing.fit(square, size, 'crop')


def _gather(
  source: Sequence[np.ndarray],
  read_fn: Callable[[int, int, int], np.ndarray],
) -> Callable[[int, int, tuple[np.ndarray, np.ndarray]], np.ndarray]:
  """Returns the function that turns codes and crops into images.

  Args:
    source: all images.
    read_fn: the image of a step, a place in its batch and an index.

  Returns:
    A function of the step, the first place, codes 2 * index + flip [B] and
    crops [B, 3] to images [B, H, W, 3]. A crop is its share of the side, and
    where its corner is, in [0, 1).
  """

  def gather(
    step: int, first: int, batch: tuple[np.ndarray, np.ndarray]
  ) -> np.ndarray:
    codes, crops = batch
    indices, flips = codes // 2, (codes % 2).astype(bool)
    if isinstance(source, np.ndarray):
      images = source[indices]
    else:
      images = np.stack(
        [read_fn(step, first + i, index) for i, index in enumerate(indices)]
      )
    for image, (share, *corner) in zip(images, crops, strict=True):
      if share < 1:
        image[:] = _crop(image, np.array(corner), share)
    images[flips] = images[flips, :, ::-1]
    return images

  return gather


class _Joined:
  """Item t holds the rows of item t of every part, one part after the other."""

  def __init__(self, parts: Sequence[grain.MapDataset]):
    self._parts = parts

  def __len__(self) -> int:
    return min(len(part) for part in self._parts)

  def __getitem__(self, step: int) -> tuple[np.ndarray, ...]:
    rows = [part[step] for part in self._parts]
    return tuple(np.concatenate(x) for x in zip(*rows, strict=True))


def _batches(
  source: Sequence[np.ndarray],
  batch_size: int,
  seed: int,
  *,
  draw_fn: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> grain.MapDataset:
  """Builds endless shuffled batches of random draws for each index.

  The rows of a mixture's parts stay together, in the order of the parts, so
  that a row's place says where it is from; each part has epochs of its own.
  """
  ends, sizes = (len(source),), (batch_size,)
  if isinstance(source, sources.Mixture):
    ends, sizes = source.ends, source.batch_sizes(batch_size)
  parts = [
    grain.MapDataset.range(begin, end)
    .shuffle(seed=seed)
    .repeat()
    .random_map(draw_fn, seed=seed + 1 + place)
    .batch(size)
    for place, (begin, end, size) in enumerate(
      zip((0, *ends[:-1]), ends, sizes, strict=True)
    )
  ]
  if len(parts) == 1:
    return parts[0]
  return grain.MapDataset.source(_Joined(parts))


def train_dataset(
  source: Sequence[np.ndarray],
  batch_size: int,
  seed: int,
  *,
  host: int = 0,
  num_hosts: int = 1,
  smallest_crop: float = 1.0,
) -> grain.MapDataset:
  """Builds endless shuffled batches; item t is this host's share of step t.

  Every epoch has its own order; every image is flipped at random.
  The hosts' batches, one after the other, are one host's batch.

  Args:
    source: see `open_training`.
    batch_size: global; divides by `num_hosts`.
    seed: of order, flips and crops.
    host, num_hosts: which share.
    smallest_crop: images are cropped to random squares whose side is at least
      this share of the image's; 1 for no crops.

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

  batches = _batches(source, batch_size, seed, draw_fn=draw)
  size = batch_size // num_hosts
  share = slice(host * size, (host + 1) * size)

  def read(step: int, row: int, index: int) -> np.ndarray:
    """The image; or the first readable one of this place in later steps."""
    for _ in range(len(source)):
      try:
        return source[index]
      except unreadable.UnreadableError:
        step += 1
        index = batches[step][0][row] // 2
    raise errors.UserError('None of the images can be read.')

  gather = _gather(source, read)
  return batches.map_with_index(
    lambda step, batch: gather(
      step, host * size, tuple(x[share] for x in batch)
    )
  )


def train_batches(
  dataset: grain.MapDataset, first_step: int
) -> Iterator[np.ndarray]:
  """Prefetches a data set from a step on; its state need not be saved."""
  options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=8)
  return iter(dataset[first_step:].to_iter_dataset(options))


def eval_batches(
  source: Sequence[np.ndarray],
  batch_size: int,
  num_images: int = -1,
  *,
  host: int = 0,
  num_hosts: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Yields this host's share of batches that hold every image exactly once.

  All hosts yield the same number of batches; together they are padded at the
  end only. The mask leaves out images that cannot be read, too.

  Args:
    source: see `open_source`.
    batch_size: global; divides by `num_hosts`.
    num_images: only the first ones; -1 for all.
    host, num_hosts: which share of every batch.

  Yields:
    With b = batch_size / num_hosts: images [b, H, W, 3] uint8, their indices
    [b], and a mask [b] that is False for padding and unreadable images.
  """
  total = len(source) if num_images < 0 else min(num_images, len(source))
  size = batch_size // num_hosts
  for first in range(0, total, batch_size):
    indices = first + host * size + np.arange(size)
    mask = indices < total
    indices = np.where(mask, indices, 0)
    images: list[np.ndarray | None] = []
    for place, index in enumerate(indices):
      try:
        # Padding repeats the first image, which may be unreadable, too.
        images.append(source[index] if mask[place] else None)
      except unreadable.UnreadableError:
        images.append(None)
        mask[place] = False
    shape = next((x.shape for x in images if x is not None), None)
    blank = np.zeros(shape or _shape_of(source), np.uint8)
    yield np.stack([blank if x is None else x for x in images]), indices, mask


def _shape_of(source: Sequence[np.ndarray]) -> tuple[int, ...]:
  """Shape of the first readable image."""
  for index in range(len(source)):
    with contextlib.suppress(unreadable.UnreadableError):
      return source[index].shape
  raise errors.UserError('None of the images can be read.')
