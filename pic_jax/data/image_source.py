"""Protocols for sources of images."""

from typing import Protocol

import numpy as np


class ImageSource(Protocol):
  """Images [H, W, 3] uint8 by index, such as an array or a list of files.

  Reading an item may raise `UnreadableError`.
  """

  def __len__(self) -> int: ...

  def __getitem__(self, index: int, /) -> np.ndarray: ...


class ListedSource(ImageSource, Protocol):
  """Image source with a listing: texts that identify its images."""

  def listing(self) -> list[str]: ...
