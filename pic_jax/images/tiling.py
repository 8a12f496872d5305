"""Arrangement of several pictures as one picture."""

import numpy as np

GAP = 2  # white pixels between the pictures
ENLARGED_HEIGHT = 64  # pixels; largest height of an enlarged picture


def tile(pictures: np.ndarray, scale: int | None = None) -> np.ndarray:
  """Arranges pictures in rows and columns with white gaps between them.

  Args:
    pictures: [rows, columns, H, W, 3] uint8.
    scale: integer factor by which each picture is enlarged. By default, the
      largest factor that keeps its height within `ENLARGED_HEIGHT`, at least 1.

  Returns:
    [total height, total width, 3] uint8.
  """
  if scale is None:
    scale = max(1, ENLARGED_HEIGHT // pictures.shape[-3])
  pictures = pictures.repeat(scale, 2).repeat(scale, 3)
  num_rows, num_columns, height, width, _ = pictures.shape
  shape = (num_rows * (height + GAP) - GAP, num_columns * (width + GAP) - GAP)
  tiled = np.full((*shape, 3), 255, np.uint8)
  for row in range(num_rows):
    for column in range(num_columns):
      top, left = row * (height + GAP), column * (width + GAP)
      tiled[top : top + height, left : left + width] = pictures[row, column]
  return tiled
