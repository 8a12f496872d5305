"""Pictures of a data set that cannot be read: counted, up to a limit."""

import threading
from collections.abc import Sequence

import numpy as np

from pic_jax.runtime import errors, terminal

# Defaults of `data.max_unreadable`: one picture in `ONE_IN` of a training
# split, but at least `AT_LEAST`; none of an evaluated split.
ONE_IN, AT_LEAST = 100, 10


class UnreadableError(errors.RunError):
  """One picture is damaged or missing; others may be used in its place."""


def limit(max_unreadable: int, num_images: int, is_training: bool) -> int:
  """Number of pictures of a split that may be unreadable.

  Args:
    max_unreadable: `data.max_unreadable`; -1 if it is not set.
    num_images: of the split.
    is_training: whether it is trained on.
  """
  if max_unreadable >= 0:
    return max_unreadable
  return max(AT_LEAST, num_images // ONE_IN) if is_training else 0


class Tolerant:
  """A source whose unreadable pictures are counted, up to a limit."""

  def __init__(
    self, source: Sequence[np.ndarray], max_unreadable: int, text: str
  ):
    """Wraps a source.

    Args:
      source: its items may raise `UnreadableError`.
      max_unreadable: one more ends the run.
      text: what happens to an unreadable picture, for the user.
    """
    self._source, self._limit, self._text = source, max_unreadable, text
    self._reasons: dict[int, str] = {}
    self._lock = threading.Lock()  # batches are made by several threads

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> np.ndarray:
    """[size, size, 3] uint8.

    Raises:
      UnreadableError: this picture cannot be read.
      UserError: more than the limit cannot be read.
    """
    index = int(index)
    if index in self._reasons:
      raise UnreadableError(self._reasons[index])
    try:
      return self._source[index]
    except UnreadableError as error:
      self._note(index, str(error))
      raise

  def _note(self, index: int, reason: str) -> None:
    with self._lock:
      if index in self._reasons:
        return
      self._reasons[index] = reason
      count = len(self._reasons)
    if count > self._limit:
      raise errors.UserError(
        f'{reason} Repair or remove it, or raise `data.max_unreadable` (now '
        f'{self._limit}).'
      )
    terminal.say(
      f'WARNING: {reason} {self._text} ({count} of at most {self._limit}).'
    )

  def decoded(self, size: int) -> Sequence[np.ndarray]:
    """Reads all pictures: [N, size, size, 3] uint8 if all are readable."""
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
