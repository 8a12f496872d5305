"""What a source of images can do."""

from typing import Protocol

import numpy as np


class ImageSource(Protocol):
  """Images [H, W, 3] uint8 by number: an array, a list, or read when asked.

  An item may raise `UnreadableError`.
  """

  def __len__(self) -> int: ...

  def __getitem__(self, index: int, /) -> np.ndarray: ...


class ListedSource(ImageSource, Protocol):
  """An image source that knows what identifies its images."""

  def listing(self) -> list[str]: ...
