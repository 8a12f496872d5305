"""Tolerates a limited number of unreadable pictures in a data set."""

import threading

import numpy as np

from pic_jax.data import image_source
from pic_jax.runtime import errors, terminal

# Default of `data.max_unreadable` for a training split: one picture in
# every `PICTURES_PER_UNREADABLE`, but at least `MIN_LIMIT`. For an evaluated
# split it is 0.
PICTURES_PER_UNREADABLE, MIN_LIMIT = 100, 10


class UnreadableError(errors.RunError):
  """Error for one damaged or missing picture, which a run may survive."""


def limit(max_unreadable: int, num_images: int, is_training: bool) -> int:
  """Returns how many unreadable pictures a split is allowed to have.

  Args:
    max_unreadable: `data.max_unreadable`; -1 for the default.
    num_images: number of images in the split.
    is_training: whether the split is used for training.
  """
  if max_unreadable >= 0:
    return max_unreadable
  if not is_training:
    return 0
  return max(MIN_LIMIT, num_images // PICTURES_PER_UNREADABLE)


class Tolerant:
  """Wraps a source, and limits the number of its unreadable pictures."""

  def __init__(
    self, source: image_source.ImageSource, max_unreadable: int, text: str
  ):
    """Wraps a source.

    Args:
      source: sequence of pictures, whose items may raise `UnreadableError`.
      max_unreadable: number of unreadable pictures that are allowed.
      text: sentence without a full stop that tells the user what happens to an
        unreadable picture.
    """
    self._source, self._limit, self._text = source, max_unreadable, text
    self._reasons: dict[int, str] = {}
    self._lock = threading.Lock()  # because several threads make batches

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> np.ndarray:
    """Reads a picture [size, size, 3] uint8.

    Raises:
      UnreadableError: if this picture cannot be read.
      UserError: if the number of unreadable pictures exceeds the limit.
    """
    index = int(index)
    if index in self._reasons:
      self._check()
      raise UnreadableError(self._reasons[index])
    try:
      return self._source[index]
    except UnreadableError as error:
      self._note(index, str(error))
      raise

  def _note(self, index: int, reason: str) -> None:
    """Counts an unreadable picture, and warns or ends the run."""
    with self._lock:
      is_new = index not in self._reasons
      self._reasons.setdefault(index, reason)
    self._check()
    if is_new:
      terminal.say(
        f'WARNING: {reason} {self._text} ({len(self._reasons)} of at most '
        f'{self._limit}).'
      )

  def _check(self) -> None:
    """Raises a UserError if there are more unreadable pictures than allowed.

    Batches are read in advance by several threads. Once the limit is exceeded,
    every read of an unreadable picture has to raise this error. Raising it once
    is not enough, because the read that raises it may belong to a later batch
    than the read of another thread.
    """
    if len(self._reasons) > self._limit:
      reason = list(self._reasons.values())[self._limit]
      raise errors.UserError(
        f'{reason} Repair or remove it, or raise `data.max_unreadable` (now '
        f'{self._limit}).'
      )

  def decoded(self, size: int) -> image_source.ImageSource:
    """Reads all pictures into memory.

    Returns:
      The array [N, size, size, 3] uint8 if all pictures are readable; else this
      object, which then keeps the readable ones in memory.
    """
    images = np.zeros((len(self), size, size, 3), np.uint8)
    for index in range(len(self)):
      try:
        images[index] = self[index]
      except UnreadableError:
        continue
    if not self._reasons:
      return images
    self._source = images
    return self
