"""Sources of images: prepared data sets, folders, arrays, patches and mixtures.

A source is a sequence of images [size, size, 3] uint8. It may be a data set of
tensorflow-datasets in the array_record format (which needs no TensorFlow at run
time), a folder of images, an array in a file, the overlapping patches of a few
photographs, or a mixture of these.
"""

import bisect
import itertools
import os
import pathlib
import re
import time
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from pic_jax.data import image_source, unreadable
from pic_jax.images import image_files, resizing
from pic_jax.runtime import errors, terminal

# Lengths, in pixels, to which the short side of a photograph is scaled before
# it is cut into patches.
PATCH_SCALES = (64, 128, 256)
# Share of each photograph's width from which the test split is cut.
PATCH_TEST_SHARE = 0.25
# Names of subfolders that are splits.
SPLIT_FOLDERS = ('train', 'val', 'validation', 'test')
# Seconds to wait before the first and the second retry of a failed read.
RETRY_SECONDS = (0.5, 2.0)


def parse_split(split: str, length: int) -> tuple[str, slice]:
  """Parses a split 'name' or 'name[a:b]', as in tensorflow-datasets.

  Args:
    split: the text. a and b are indices, as in a Python slice, or percentages.
    length: number of images of the whole split.

  Returns:
    The name, and the slice [a:b] of its images.

  Raises:
    UserError: if the text is not a split.
  """
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
  """Lists the image files of a folder and its subfolders, in sorted order.

  Hidden files and subfolders are left out.
  """
  files = []
  for parent, subfolders, names in os.walk(folder):
    # Jupyter, photo managers and trash cans keep copies in hidden folders.
    subfolders[:] = [name for name in subfolders if not name.startswith('.')]
    files += [
      pathlib.Path(parent, name)
      for name in names
      if os.path.splitext(name)[1].lower() in image_files.SUFFIXES
      and not name.startswith('.')
    ]
  return sorted(files)


def _load(path: pathlib.Path) -> np.ndarray:
  """Reads a photograph [H, W, 3] uint8, and retries if the system fails.

  Raises:
    UnreadableError: if the file is damaged or missing.
    DiskError: if the system still cannot read the file after the last retry.
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
  """Lists existing files as 'path size', relative to `folder` and in bytes."""
  return [
    f'{path.relative_to(folder).as_posix()} {path.stat().st_size}'
    for path in files
    if path.exists()
  ]


class TfdsSource:
  """Images of a prepared split of tensorflow-datasets."""

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    # Imported here, because no other source needs tensorflow-datasets.
    import tensorflow_datasets as tfds

    name, data_dir = config.name, config.data_dir or None
    command = f'tfds build {name} --file_format=array_record'
    if data_dir:
      command += f' --data_dir={data_dir}'
    try:
      # `Any`, because for several splits the function returns a tree.
      self._source: Any = tfds.data_source(
        name, split=split, data_dir=data_dir, download=False
      )
    except Exception as error:
      reason, *_ = str(error).strip().splitlines() or ['']
      default = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
      folder = data_dir or default
      raise errors.UserError(
        f'Data set {name!r}, split {split!r}, is not ready in {folder} '
        f'({reason[:120]}). Prepare it once with: pip install '
        f'tensorflow-cpu && {command}'
      ) from None
    self._size, self._resize = config.image_size, config.resize
    self._name = f'{name} {split}'

  def __len__(self) -> int:
    return len(self._source)

  def listing(self) -> list[str]:
    """Returns the name and length of the split, which identify the data."""
    return [f'{self._name} {len(self)}']

  def __getitem__(self, index: int) -> np.ndarray:
    """Returns an image [size, size, 3] uint8."""
    image = self._source[index]['image']
    # Grey images have one channel.
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    return resizing.fit(image, self._size, self._resize)


class FolderSource:
  """Images of a folder, where a split is a subfolder or a slice of all files.

  If a subfolder has one of the names in `SPLIT_FOLDERS`, all splits except
  'all' must be subfolders.

  Attributes:
    files: paths of the images of the split, in order.
  """

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    folder = pathlib.Path(config.data_dir)
    if not config.data_dir or not folder.is_dir():
      raise errors.UserError(
        '`data.data_dir` must be a folder of images for `data.name=folder`, '
        f'got {config.data_dir!r}.'
      )
    name, _ = parse_split(split, 0)
    split_folders = [x for x in SPLIT_FOLDERS if (folder / x).is_dir()]
    if (folder / name).is_dir():
      folder = folder / name
    elif split_folders and name != 'all':
      raise errors.UserError(
        f'{config.data_dir} has no folder {name!r} for split {split!r}, only '
        f"{', '.join(split_folders)}. The split 'all' has all images."
      )
    files = _image_files(folder)
    self.files = files[parse_split(split, len(files))[1]]
    if not self.files:
      raise errors.UserError(f'No images in {folder} for split {split!r}.')
    # A user who gives 'train' may expect a subfolder, unlike a user who gives a
    # slice such as 'train[:90%]'.
    if split == name != 'all' and folder.name != name:
      terminal.say(
        f'{config.data_dir} has no folder {name!r}, so this split is all of '
        f'its {len(files)} images.'
      )
    self._folder = pathlib.Path(config.data_dir)
    self._size, self._resize = config.image_size, config.resize

  def __len__(self) -> int:
    return len(self.files)

  def listing(self) -> list[str]:
    """Lists the names and sizes of the files."""
    return _sizes(self.files, self._folder)

  def __getitem__(self, index: int) -> np.ndarray:
    """Returns an image [size, size, 3] uint8."""
    return resizing.fit(_load(self.files[index]), self._size, self._resize)


class ArraySource:
  """Images in a file NAME.npy, which holds an array [N, H, W, 3] uint8.

  The split is 'NAME' or 'NAME[a:b]', and the file is in `data.data_dir`. The
  array stays on disk, and images are read when they are used.
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
        f'{path} must hold an array [N, H, W, 3] uint8, got {images.shape} '
        f'{images.dtype}.'
      )
    self._images = images[parse_split(split, len(images))[1]]
    self._name = f'{name} {split} {images.shape}'
    self._size, self._resize = config.image_size, config.resize

  def __len__(self) -> int:
    return len(self._images)

  def listing(self) -> list[str]:
    """Returns the name, split and shape of the array."""
    return [self._name]

  def __getitem__(self, index: int) -> np.ndarray:
    """Returns an image [size, size, 3] uint8."""
    image = np.array(self._images[index])
    return resizing.fit(image, self._size, self._resize)


class Mixture:
  """Concatenation of several sources, each with its share of a batch.

  Attributes:
    shares: share of each source in a batch; their sum is 1.
    ends: index after the last image of each source.
  """

  def __init__(
    self, parts: Sequence[image_source.ImageSource], shares: Sequence[float]
  ):
    self.shares = tuple(shares)
    self.ends = tuple(itertools.accumulate(len(part) for part in parts))
    self._parts = parts

  def __len__(self) -> int:
    return self.ends[-1]

  def batch_sizes(self, batch_size: int) -> tuple[int, ...]:
    """Computes how many images of each source are in a global batch.

    Raises:
      UserError: if the batch is so small that a source would have no image.
    """
    ideal = batch_size * np.array(self.shares)
    sizes = np.floor(ideal + 1e-6).astype(int)
    # The sizes with the largest remainders are rounded up.
    missing = batch_size - sizes.sum()
    sizes[np.argsort(sizes - ideal, kind='stable')[:missing]] += 1
    if not sizes.min():
      raise errors.UserError(
        f'`training.batch_size` {batch_size} leaves no image for the share of '
        f'{min(self.shares):g} in `data.mixture`. Use a larger batch.'
      )
    return tuple(sizes.tolist())

  def __getitem__(self, index: int) -> np.ndarray:
    """Returns an image [size, size, 3] uint8."""
    part = bisect.bisect(self.ends, index)
    first = (0, *self.ends)[part]
    return self._parts[part][index - first]


class _Photographs:
  """Photographs in files, [H, W, 3] uint8, of different sizes."""

  def __init__(self, files: list[pathlib.Path]):
    self._files = files

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> np.ndarray:
    return _load(self._files[index])


class PatchSource:
  """Overlapping patches of the photographs in a folder, at several scales.

  The right quarter of every photograph is the 'test' split, and no patch of the
  'train' split reaches into this quarter. The patches are shuffled with a fixed
  seed, so a slice such as 'test[:64]' mixes the photographs.
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
        part = scaled[:, :border] if name == 'train' else scaled[:, border:]
        patches += _tiles(part, size)
    order = np.random.default_rng(0).permutation(len(patches))
    order = order[parse_split(split, len(patches))[1]]
    self._patches = [patches[index] for index in order]

  def __len__(self) -> int:
    return len(self._patches)

  def listing(self) -> list[str]:
    """Lists the names and sizes of the photographs' files."""
    return self._listing

  def __getitem__(self, index: int) -> np.ndarray:
    """Returns an image [size, size, 3] uint8."""
    return self._patches[index]


def _tiles(rgb: np.ndarray, size: int) -> list[np.ndarray]:
  """Cuts a photograph into squares that overlap by half of their side.

  Args:
    rgb: [H, W, 3] uint8.
    size: side of the squares, in pixels.

  Returns:
    Squares [size, size, 3] uint8, row by row.
  """
  height, width = rgb.shape[:2]
  step = max(1, size // 2)
  return [
    rgb[top : top + size, left : left + size]
    for top in range(0, height - size + 1, step)
    for left in range(0, width - size + 1, step)
  ]


# Sources, keyed by `data.name`. Other names are data sets of
# tensorflow-datasets.
DATASETS = {
  'array': ArraySource,
  'folder': FolderSource,
  'patches': PatchSource,
}
