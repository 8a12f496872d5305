"""Sources of images: prepared data sets, folders, arrays, patches.

Any tensorflow-datasets image data set (array_record, no TensorFlow at run
time), any folder of images, an array in a file, the overlapping patches of a
few photographs, and mixtures of all these.
"""

import bisect
import itertools
import os
import pathlib
import re
import time
from collections.abc import Sequence

import ml_collections
import numpy as np

from pic_jax.data import unreadable
from pic_jax.images import image_files, resizing
from pic_jax.runtime import errors, terminal

# Patches: the photograph's short side, and the share of its width that is
# kept for the test split.
PATCH_SCALES = (64, 128, 256)
PATCH_TEST_SHARE = 0.25
# Names of subfolders that are splits.
SPLIT_FOLDERS = ('train', 'val', 'validation', 'test')
# Seconds to wait before a failed read is repeated.
RETRY_SECONDS = (0.5, 2.0)


def parse_split(split: str, length: int) -> tuple[str, slice]:
  """Reads 'name', 'name[a:b]' with numbers or percents, like tfds."""
  match = re.fullmatch(r'(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?', split)
  if not match:
    raise errors.UserError(
      f"Split must look like 'train[:90%]', got {split!r}."
    )

  def bound(text: str | None) -> int | None:
    if text and text.endswith('%'):
      return round(length * int(text[:-1]) / 100)
    return int(text) if text else None

  return match[1], slice(bound(match[2]), bound(match[3]))


def _image_files(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    path
    for path in folder.rglob('*')
    if path.suffix.lower() in image_files.SUFFIXES
    and not path.name.startswith('.')
  )


def _load(path: pathlib.Path) -> np.ndarray:
  """Reads a picture; failed reads of the system are repeated.

  Raises:
    UnreadableError: it is damaged or missing.
    DiskError: the system cannot read it, whatever it holds.
  """
  for seconds in (*RETRY_SECONDS, None):
    try:
      return image_files.load_image(path)
    except errors.DiskError:
      if seconds is None:
        raise
      time.sleep(seconds)
    except errors.RunError as error:
      raise unreadable.UnreadableError(str(error)) from None
  raise AssertionError('unreachable')


def _sizes(files: list[pathlib.Path], folder: pathlib.Path) -> list[str]:
  """'name size' of files, names relative to a folder."""
  return [
    f'{path.relative_to(folder).as_posix()} {path.stat().st_size}'
    for path in files
    if path.exists()
  ]


class TfdsSource:
  """Images of a prepared tensorflow-datasets split."""

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    # Imported here, because only some runs need it.
    import tensorflow_datasets as tfds

    name, data_dir = config.name, config.data_dir or None
    prepare = f'tfds build {name} --file_format=array_record'
    if data_dir:
      prepare += f' --data_dir={data_dir}'
    try:
      self._source = tfds.data_source(
        name, split=split, data_dir=data_dir, download=False
      )
    except Exception as error:
      reason = str(error).strip().splitlines() or ['']
      default = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
      folder = data_dir or default
      raise errors.UserError(
        f'Data set {name!r}, split {split!r}, is not ready in {folder} '
        f'({reason[0][:120]}). Prepare it once with: pip install '
        f'tensorflow-cpu && {prepare}'
      ) from None
    self._size, self._resize = config.image_size, config.resize
    self._name = f'{name} {split}'

  def __len__(self) -> int:
    return len(self._source)

  def listing(self) -> list[str]:
    """Names and sizes of the files, which identify the data."""
    return [f'{self._name} {len(self)}']

  def __getitem__(self, index: int) -> np.ndarray:
    """[size, size, 3] uint8."""
    image = self._source[index]['image']
    image = np.broadcast_to(image, (*image.shape[:2], 3))  # may be grey
    return resizing.fit(image, self._size, self._resize)


class FolderSource:
  """Images of a folder; a split is a subfolder, or a slice of all files.

  If any subfolder is named like a split, all splits but 'all' are subfolders.

  Attributes:
    files: of the images, in their order.
  """

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    folder = pathlib.Path(config.data_dir)
    if not config.data_dir or not folder.is_dir():
      raise errors.UserError(
        '`data.data_dir` must be a folder of images for `data.name=folder`, '
        f'got {config.data_dir!r}.'
      )
    name, _ = parse_split(split, 0)
    there = [x for x in SPLIT_FOLDERS if (folder / x).is_dir()]
    if (folder / name).is_dir():
      folder = folder / name
    elif there and name != 'all':
      raise errors.UserError(
        f'{config.data_dir} has no folder {name!r} for split {split!r}, only '
        f"{', '.join(there)} ('all': all of its images)."
      )
    files = _image_files(folder)
    self.files = files[parse_split(split, len(files))[1]]
    if not self.files:
      raise errors.UserError(f'No images in {folder} for split {split!r}.')
    if split == name != 'all' and folder.name != name:
      terminal.say(
        f'{config.data_dir} has no folder {name!r}: this split is all of its '
        f'{len(files)} images.'
      )
    self._folder = pathlib.Path(config.data_dir)
    self._size, self._resize = config.image_size, config.resize

  def __len__(self) -> int:
    return len(self.files)

  def listing(self) -> list[str]:
    """Names and sizes of the files."""
    return _sizes(self.files, self._folder)

  def __getitem__(self, index: int) -> np.ndarray:
    """[size, size, 3] uint8."""
    return resizing.fit(_load(self.files[index]), self._size, self._resize)


class ArraySource:
  """Images [N, H, W, 3] uint8 in NAME.npy, which stays on disk.

  A split 'NAME' or 'NAME[a:b]' names the file of that name in the folder.
  """

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    name, _ = parse_split(split, 0)
    path = pathlib.Path(config.data_dir) / f'{name}.npy'
    try:
      images = np.load(path, mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
      reason = str(error).splitlines()[0]
      raise errors.UserError(
        f'{path} is not an array of images: {reason}'
      ) from None
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
      raise errors.UserError(
        f'{path} must be [N, H, W, 3] uint8, got {images.shape} {images.dtype}.'
      )
    self._images = images[parse_split(split, len(images))[1]]
    self._name = f'{name} {split} {images.shape}'
    self._size, self._resize = config.image_size, config.resize

  def __len__(self) -> int:
    return len(self._images)

  def listing(self) -> list[str]:
    """Name and shape of the array."""
    return [self._name]

  def __getitem__(self, index: int) -> np.ndarray:
    """[size, size, 3] uint8."""
    image = np.array(self._images[index])
    return resizing.fit(image, self._size, self._resize)


class Mixture:
  """Several concatenated sources and the share of each in a batch."""

  def __init__(self, parts: Sequence[Sequence], shares: Sequence[float]):
    self.shares = tuple(shares)
    self.ends = tuple(itertools.accumulate(len(part) for part in parts))
    self._parts = parts

  def __len__(self) -> int:
    return self.ends[-1]

  def batch_sizes(self, batch_size: int) -> tuple[int, ...]:
    """Images of each part in a batch of all hosts, in this order.

    Raises:
      UserError: the batch is so small that a part would have none.
    """
    ideal = batch_size * np.array(self.shares)
    sizes = np.floor(ideal + 1e-6).astype(int)
    missing = batch_size - sizes.sum()
    sizes[np.argsort(sizes - ideal, kind='stable')[:missing]] += 1
    if not sizes.min():
      raise errors.UserError(
        f'`training.batch_size` {batch_size} leaves no image for a share of '
        f'{min(self.shares):g} of `data.mixture`: use larger batches.'
      )
    return tuple(sizes.tolist())

  def __getitem__(self, index: int) -> np.ndarray:
    """[size, size, 3] uint8."""
    part = bisect.bisect(self.ends, index)
    return self._parts[part][index - ((0, *self.ends)[part])]


class _Photographs:
  """Photographs [H, W, 3] uint8 of files, at their own sizes."""

  def __init__(self, files: list[pathlib.Path]):
    self._files = files

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> np.ndarray:
    return _load(self._files[index])


class PatchSource:
  """Overlapping patches of the photographs in a folder, at several scales.

  The right quarter of every photograph is the 'test' split; no patch of
  'train' reaches into it. The order is shuffled with a fixed seed, so that the
  first patches come from all photographs.
  """

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    name, _ = parse_split(split, 0)
    if name not in ('train', 'test'):
      raise errors.UserError(f"Split must be 'train' or 'test', got {split!r}.")
    folder, size = pathlib.Path(config.data_dir), config.image_size
    files = _image_files(folder) if config.data_dir and folder.is_dir() else []
    if not files:
      raise errors.UserError(
        '`data.data_dir` must be a folder of photographs for '
        f'`data.name=patches`, got {config.data_dir!r}.'
      )
    photographs = unreadable.Tolerant(
      _Photographs(files),
      unreadable.limit(config.max_unreadable, len(files), name == 'train'),
      'It is left out',
    )
    self._listing = _sizes(files, folder)
    patches = []
    for index in range(len(files)):
      try:
        photograph = photographs[index]
      except unreadable.UnreadableError:
        continue
      for scale in PATCH_SCALES:
        scaled = resizing.scale_short_side(photograph, max(scale, size))
        border = round(scaled.shape[1] * (1 - PATCH_TEST_SHARE))
        half = scaled[:, :border] if name == 'train' else scaled[:, border:]
        patches += _tiles(half, size)
    order = np.random.default_rng(0).permutation(len(patches))
    order = order[parse_split(split, len(patches))[1]]
    self._patches = [patches[index] for index in order]

  def __len__(self) -> int:
    return len(self._patches)

  def listing(self) -> list[str]:
    """Names and sizes of the photographs' files."""
    return self._listing

  def __getitem__(self, index: int) -> np.ndarray:
    """[size, size, 3] uint8."""
    return self._patches[index]


def _tiles(rgb: np.ndarray, size: int) -> list[np.ndarray]:
  """Squares of side `size`, half of which overlaps with the next."""
  height, width = rgb.shape[:2]
  step = max(1, size // 2)
  return [
    rgb[top : top + size, left : left + size]
    for top in range(0, height - size + 1, step)
    for left in range(0, width - size + 1, step)
  ]


# Every other name is a tensorflow-datasets name.
DATASETS = {
  'array': ArraySource,
  'folder': FolderSource,
  'patches': PatchSource,
}
