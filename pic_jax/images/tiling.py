"""Tilings: several pictures in one."""

import numpy as np

GAP = 2  # white pixels between the pictures
MIN_HEIGHT = 64  # smaller pictures are enlarged to about this


def tile(rows: np.ndarray, scale: int | None = None) -> np.ndarray:
  """Tiles pictures [rows, columns, H, W, 3] uint8 with white gaps.

  Args:
    rows: the pictures.
    scale: integer factor by which each picture is enlarged; None enlarges small
      pictures only.
  """
  if scale is None:
    scale = max(1, MIN_HEIGHT // rows.shape[-3])
  rows = rows.repeat(scale, 2).repeat(scale, 3)
  num_rows, num_columns, height, width, _ = rows.shape
  shape = (num_rows * (height + GAP) - GAP, num_columns * (width + GAP) - GAP)
  picture = np.full((*shape, 3), 255, np.uint8)
  for row in range(num_rows):
    for column in range(num_columns):
      top, left = row * (height + GAP), column * (width + GAP)
      picture[top : top + height, left : left + width] = rows[row, column]
  return picture
