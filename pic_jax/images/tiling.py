"""Arrangement of several pictures as one picture."""

import numpy as np

GAP = 2  # white pixels between the pictures
ENLARGED_HEIGHT = 64  # pixels; largest height of an enlarged picture


def tile(rows: np.ndarray, scale: int | None = None) -> np.ndarray:
  """Arranges pictures in rows and columns with white gaps between them.

  Args:
    rows: [rows, columns, H, W, 3] uint8, the pictures.
    scale: integer factor by which each picture is enlarged. By default, the
      largest factor that keeps its height within `ENLARGED_HEIGHT`, at least 1.

  Returns:
    [total height, total width, 3] uint8.
  """
  if scale is None:
    scale = max(1, ENLARGED_HEIGHT // rows.shape[-3])
  rows = rows.repeat(scale, 2).repeat(scale, 3)
  num_rows, num_columns, height, width, _ = rows.shape
  shape = (num_rows * (height + GAP) - GAP, num_columns * (width + GAP) - GAP)
  picture = np.full((*shape, 3), 255, np.uint8)
  for row in range(num_rows):
    for column in range(num_columns):
      top, left = row * (height + GAP), column * (width + GAP)
      picture[top : top + height, left : left + width] = rows[row, column]
  return picture
