"""Several pictures in one."""

import numpy as np

GAP = 2  # white pixels between the pictures
MIN_HEIGHT = 64  # smaller pictures are enlarged to about this


def grid(rows: np.ndarray, scale: int | None = None) -> np.ndarray:
  """Puts pictures [rows, columns, H, W, 3] uint8 into one, white between.

  Args:
    rows: the pictures.
    scale: enlarges each by this whole factor; None: small ones only.
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
