"""Cells that keep their chroma when hints are added, and anchors among them.

A hint for one object can change the colours of other objects. For example, a
hint for a red boat can make the sea red. Therefore each sample is first drawn
without hints. Then it is drawn again with hints, and all cells far from every
hint keep the chroma of the first draw. The decoder reads some of these cells,
the anchors, as hints.
"""

import numpy as np

from pic_jax.photos import brush

# Chroma is kept (`NetworkInput.kept_chroma`) in whole squares of a grid with
# FINE_GRID squares along the short side of the map. If one cell of a square may
# change, all of them may. The finer levels may alter kept chroma, so it is put
# back after they have run.
FINE_GRID = 32
# Anchors are whole squares of a coarser grid, with GRID squares along the short
# side. So no cell of the decoder's map mixes the chroma of a hint with that of
# an anchor.
GRID = 16
# Cells whose distance from a hint (`brush.distances`) exceeds the hint's reach
# by at most this margin may belong to the hint's object, so their chroma may
# change.
MARGIN = 4.0


def cells(
  strokes: list[brush.Stroke], luminance: np.ndarray, cell_side: int = 1
) -> np.ndarray:
  """Returns a mask of the cells that keep their chroma.

  A cell keeps its chroma if its whole square of the fine grid is far from all
  hints.

  Args:
    strokes: the hints.
    luminance: [cell_side h, cell_side w] L in 0..100.
    cell_side: side of a cell in pixels of `luminance`.

  Returns:
    [h, w] bool, True for cells that keep their chroma.
  """
  height, width = (side // cell_side for side in luminance.shape)
  is_near = np.zeros((height, width), bool)
  for distance, reach in brush.reaches(strokes, luminance, cell_side):
    is_near |= distance <= reach + MARGIN
  return whole_squares(~is_near, FINE_GRID)


def whole_squares(mask: np.ndarray, grid: int = GRID) -> np.ndarray:
  """Returns the part of a mask that consists of whole squares of a grid.

  Args:
    mask: [h, w] bool.
    grid: number of squares along the short side of the mask.

  Returns:
    [h, w] bool, True in squares whose cells are all True in `mask`.
  """
  height, width = mask.shape
  rows, columns = np.ogrid[:height, :width]
  short = min(height, width)
  square_rows, square_columns = rows * grid // short, columns * grid // short
  # `grid * width` exceeds every square column, so each square has its own
  # number.
  squares = square_rows * (grid * width) + square_columns
  incomplete_squares = squares[~mask]
  return ~np.isin(squares, incomplete_squares)
