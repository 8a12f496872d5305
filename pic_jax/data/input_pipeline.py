"""Batches of images; for training, a pure function of (seed, step, host)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grain
import ml_collections
import numpy as np

from pic_jax.data import fingerprints, image_source, sources, unreadable
from pic_jax.images import resizing
from pic_jax.runtime import errors, terminal

# Splits whose decoded images have at most this size are kept in memory.
MEMORY_LIMIT_BYTES = 2 << 30


def open_images(
  config: ml_collections.ConfigDict, split: str
) -> image_source.ListedSource:
  """Opens a split of a data set.

  The images are read later, when the result is indexed, except for 'patches',
  which reads its photographs at once.

  Args:
    config: the data section of a config.
    split: name of the split.

  Returns:
    A sequence of images [size, size, 3] uint8.

  Raises:
    UserError: if the data set or the split does not exist, is not prepared or
      has no images.
  """
  source = sources.DATASETS.get(config.name, sources.TfdsSource)(config, split)
  if not len(source):
    raise errors.UserError(f'{config.name} {split!r} has no images.')
  return source


def open_source(
  config: ml_collections.ConfigDict, split: str, is_training: bool = False
) -> image_source.ImageSource:
  """Opens a split of a data set, and reads it into memory if it is small.

  Reading a damaged or missing item of the result raises `UnreadableError`. At
  most `data.max_unreadable` items may be damaged or missing.

  Args:
    config: the data section of a config.
    split: name of the split.
    is_training: whether the split is used for training.

  Returns:
    A sequence of images [size, size, 3] uint8; an array if all of them are in
    memory.

  Raises:
    UserError: as for `open_images`, and if too many images cannot be read.
  """
  return _read_if_small(
    config, open_images(config, split), split, is_training=is_training
  )


def open_test(config: ml_collections.ConfigDict) -> image_source.ImageSource:
  """Opens the test split of a config; see `open_source`."""
  return open_source(config.data, config.data.test_split)


def _read_if_small(
  config: ml_collections.ConfigDict,
  source: image_source.ImageSource,
  split: str,
  *,
  is_training: bool,
) -> image_source.ImageSource:
  """Limits the unreadable images of a source, and reads it if it is small.

  An `ArraySource` is returned unchanged. For `config`, `split` and
  `is_training` see `open_source`.
  """
  if isinstance(source, sources.ArraySource):
    return source
  tolerant = unreadable.Tolerant(
    source,
    unreadable.limit(config.max_unreadable, len(source), is_training),
    'Another image takes its place' if is_training else 'It is left out',
  )
  if len(source) * config.image_size**2 * 3 > MEMORY_LIMIT_BYTES:
    return tolerant
  terminal.say(f'Reading {config.name} {split}: {len(source)} images.')
  return tolerant.decoded(config.image_size)


class TrainingImages(NamedTuple):
  """Training images and their fingerprint.

  Attributes:
    images: sequence of images [size, size, 3] uint8.
    fingerprint: fingerprint of the images' names and sizes; see `fingerprints`.
  """

  images: image_source.ImageSource
  fingerprint: dict[str, Any]


def open_training(config: ml_collections.ConfigDict) -> TrainingImages:
  """Opens `data.train_split` and the data sets of `data.mixture`.

  A row of the mixture is (share, name, data_dir, split). An optional fifth
  entry, the number of finer levels that its images teach, is not used here. An
  empty data_dir stands for `data.data_dir`. `data.train_split` gets the
  remaining share.

  Args:
    config: the data section of a config.

  Raises:
    UserError: see `open_source`.
  """
  rows = [(config.name, config.data_dir, config.train_split)]
  rows += [tuple(row[1:4]) for row in config.mixture]
  parts, listings = [], []
  for name, data_dir, split in rows:
    part_config = config.copy_and_resolve_references()
    part_config.name = name
    part_config.data_dir = data_dir or config.data_dir
    source = open_images(part_config, split)
    listings.append(source.listing())
    parts.append(_read_if_small(part_config, source, split, is_training=True))
  images = parts[0]
  if config.mixture:
    shares = [share for share, *_ in config.mixture]
    images = sources.Mixture(parts, (1.0 - sum(shares), *shares))
  return TrainingImages(images, fingerprints.of_listing(listings, len(images)))


def _crop(rgb: np.ndarray, corner: np.ndarray, share: float) -> np.ndarray:
  """Crops a square from a square image and scales it to the image's size.

  Args:
    rgb: [size, size, 3] uint8.
    corner: [2] position of the square (vertical, horizontal), in [0, 1): 0 is
      at the top or left edge, and 1 would be at the bottom or right edge.
    share: side of the square, relative to the side of the image.

  Returns:
    [size, size, 3] uint8.
  """
  size = len(rgb)
  side = round(share * size)
  top, left = (corner * (size - side + 1)).astype(int)
  square = rgb[top : top + side, left : left + side]
  return resizing.fit(square, size, 'crop')


def _gather(
  source: image_source.ImageSource,
  read_fn: Callable[[int, int, int], np.ndarray],
) -> Callable[[int, int, tuple[np.ndarray, np.ndarray]], np.ndarray]:
  """Builds the function that reads, crops and flips the images of a batch.

  Args:
    source: all images.
    read_fn: function of (step, row of the global batch, index) that reads an
      image.

  Returns:
    A function of (step, first row, (codes, crops)) that returns images
    [B, H, W, 3] uint8. The first row is the position in the global batch at
    which this host's images begin. The codes [B] are 2 * index + flip. The
    crops [B, 3] are (share, top, left); see `_crop`.
  """

  def gather(
    step: int, first_row: int, batch: tuple[np.ndarray, np.ndarray]
  ) -> np.ndarray:
    codes, crops = batch
    indices, flips = codes // 2, (codes % 2).astype(bool)
    if isinstance(source, np.ndarray):
      images = source[indices]
    else:
      images = np.stack(
        [read_fn(step, first_row + i, index) for i, index in enumerate(indices)]
      )
    for image, (share, *corner) in zip(images, crops, strict=True):
      if share < 1:
        image[:] = _crop(image, np.array(corner), share)
    images[flips] = images[flips, :, ::-1]
    return images

  return gather


class _Joined:
  """Joins data sets: item t is the concatenation of item t of every part."""

  def __init__(self, parts: Sequence[grain.MapDataset]):
    self._parts = parts

  def __len__(self) -> int:
    return min(len(part) for part in self._parts)

  def __getitem__(self, step: int) -> tuple[np.ndarray, ...]:
    batches = [part[step] for part in self._parts]
    columns = zip(*batches, strict=True)
    return tuple(np.concatenate(column) for column in columns)


def _batches(
  source: image_source.ImageSource,
  batch_size: int,
  seed: int,
  *,
  draw_fn: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> grain.MapDataset:
  """Builds endless shuffled batches of codes and crops; see `_gather`.

  In a batch of a mixture, the rows of each part are contiguous, and the parts
  keep their order. So the position of a row in the batch tells which part its
  image is from. The parts have separate epochs.

  Args:
    source: all images, or a mixture.
    batch_size: number of images in a global batch.
    seed: seed of the order and of `draw_fn`.
    draw_fn: function of (index of an image, random generator) that draws the
      image's code and crop.

  Returns:
    A data set whose item t is (codes [batch_size], crops [batch_size, 3]) of
    step t.
  """
  ends, sizes = (len(source),), (batch_size,)
  if isinstance(source, sources.Mixture):
    ends, sizes = source.ends, source.batch_sizes(batch_size)
  parts = [
    grain.MapDataset.range(begin, end)
    .shuffle(seed=seed)
    .repeat()
    .random_map(draw_fn, seed=seed + 1 + part)
    .batch(size)
    for part, (begin, end, size) in enumerate(
      zip((0, *ends[:-1]), ends, sizes, strict=True)
    )
  ]
  if len(parts) == 1:
    return parts[0]
  return grain.MapDataset.source(_Joined(parts))


def train_dataset(
  source: image_source.ImageSource,
  batch_size: int,
  seed: int,
  *,
  host: int = 0,
  num_hosts: int = 1,
  smallest_crop: float = 1.0,
) -> grain.MapDataset:
  """Builds endless shuffled batches of training images.

  Every epoch has a different order, and every image is flipped at random. The
  hosts' batches of a step together equal the batch of a run on a single host.

  Args:
    source: training images; see `open_training`.
    batch_size: number of images in a global batch, divisible by `num_hosts`.
    seed: seed of the order, flips and crops.
    host: index of this host.
    num_hosts: number of hosts.
    smallest_crop: images are cropped to random squares whose side is at least
      this share of the image's side; 1 for no crops.

  Returns:
    A data set whose item t is this host's share of the batch of step t,
    [batch_size / num_hosts, H, W, 3] uint8.
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
  host_rows = slice(host * size, (host + 1) * size)

  def read(step: int, row: int, index: int) -> np.ndarray:
    """Reads an image, or the one of this row in the next step that has one."""
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
      step, host * size, tuple(x[host_rows] for x in batch)
    )
  )


def train_batches(
  dataset: grain.MapDataset, first_step: int
) -> Iterator[np.ndarray]:
  """Iterates over the batches, starting at a step; reads some in advance.

  The iterator has no state to save. A resumed run passes the step from which it
  continues as `first_step`.
  """
  options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=8)
  return iter(dataset[first_step:].to_iter_dataset(options))


def eval_batches(
  source: image_source.ImageSource,
  batch_size: int,
  num_images: int = -1,
  *,
  host: int = 0,
  num_hosts: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Yields this host's part of each global batch, for one pass over the images.

  All hosts yield the same number of batches. Only the last global batch is
  padded.

  Args:
    source: images; see `open_source`.
    batch_size: number of images in a global batch, divisible by `num_hosts`.
    num_images: only the first so many images are used; -1 for all.
    host: index of this host.
    num_hosts: number of hosts.

  Yields:
    With b = batch_size / num_hosts: images [b, H, W, 3] uint8, their indices
    [b], and a mask [b] that is False for padding and for unreadable images.
  """
  total = len(source) if num_images < 0 else min(num_images, len(source))
  size = batch_size // num_hosts
  for first in range(0, total, batch_size):
    indices = first + host * size + np.arange(size)
    mask = indices < total
    indices = np.where(mask, indices, 0)
    images: list[np.ndarray | None] = []
    for row, index in enumerate(indices):
      try:
        # Padding is not read. It has index 0, and image 0 may be unreadable.
        images.append(source[index] if mask[row] else None)
      except unreadable.UnreadableError:
        images.append(None)
        mask[row] = False
    shape = next((x.shape for x in images if x is not None), None)
    blank = np.zeros(shape or _shape_of(source), np.uint8)
    yield np.stack([blank if x is None else x for x in images]), indices, mask


def _shape_of(source: image_source.ImageSource) -> tuple[int, ...]:
  """Returns the shape [H, W, 3] of the first readable image."""
  for index in range(len(source)):
    with contextlib.suppress(unreadable.UnreadableError):
      return source[index].shape
  raise errors.UserError('None of the images can be read.')
