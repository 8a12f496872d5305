"""Tolerance of a limited number of unreadable images in a data set."""

import threading

import numpy as np

from pic_jax.data import image_source
from pic_jax.runtime import errors, terminal

# Default of `data.max_unreadable` for a training split: one image in every
# `IMAGES_PER_UNREADABLE`, but at least `MIN_LIMIT`. For an evaluated split, the
# default is 0.
IMAGES_PER_UNREADABLE, MIN_LIMIT = 100, 10


class UnreadableError(errors.RunError):
  """Error for one damaged or missing image, which a run may tolerate."""


def limit(max_unreadable: int, num_images: int, is_training: bool) -> int:
  """Returns how many unreadable images a split may have.

  Args:
    max_unreadable: `data.max_unreadable`; -1 for the default.
    num_images: number of images in the split.
    is_training: whether the split is used for training.
  """
  if max_unreadable >= 0:
    return max_unreadable
  if not is_training:
    return 0
  return max(MIN_LIMIT, num_images // IMAGES_PER_UNREADABLE)


class Tolerant:
  """Wraps a source, and limits the number of its unreadable images."""

  def __init__(
    self, source: image_source.ImageSource, max_unreadable: int, effect: str
  ):
    """Wraps a source.

    Args:
      source: sequence of images, whose items may raise `UnreadableError`.
      max_unreadable: number of unreadable images that are allowed.
      effect: sentence without a full stop that tells the user how the run
        continues without an unreadable image.
    """
    self._source, self._limit, self._effect = source, max_unreadable, effect
    self._reasons: dict[int, str] = {}
    self._lock = threading.Lock()  # because several threads make batches

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> np.ndarray:
    """Reads an image, an item of the source.

    Raises:
      UnreadableError: if this image cannot be read.
      UserError: if it cannot be read and the limit is exceeded.
    """
    index = int(index)
    if index in self._reasons:
      self._check()
      raise UnreadableError(self._reasons[index])
    try:
      return self._source[index]
    except UnreadableError as error:
      self._record(index, str(error))
      raise

  def _record(self, index: int, reason: str) -> None:
    """Records an unreadable image; warns if it is new and within the limit."""
    with self._lock:
      is_new = index not in self._reasons
      self._reasons.setdefault(index, reason)
    self._check()
    if is_new:
      terminal.say(
        f'WARNING: {reason} {self._effect} ({len(self._reasons)} of at most '
        f'{self._limit}).'
      )

  def _check(self) -> None:
    """Raises a UserError if there are more unreadable images than allowed.

    Several threads read batches in advance. Once the limit is exceeded, every
    read of an unreadable image raises this error. If only the first such read
    raised it, earlier batches of other threads would still be used.
    """
    if len(self._reasons) > self._limit:
      first_beyond_limit = list(self._reasons.values())[self._limit]
      raise errors.UserError(
        f'{first_beyond_limit} Repair or remove it, or raise '
        f'`data.max_unreadable` (now {self._limit}).'
      )

  def decoded(self, size: int) -> image_source.ImageSource:
    """Reads all images into memory.

    Args:
      size: height and width of the images in pixels.

    Returns:
      An array [N, size, size, 3] uint8 if all images are readable; otherwise
      this object, which then keeps the readable images in memory.
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
