"""Anchors, which are cells that keep their chroma when hints are added.

A hint for one object can change the colours of other objects. For example, a
hint for a red boat can make the sea red. Therefore each sample is first drawn
without hints. Then it is drawn again with hints, and keeps the chroma of the
first sample in all cells far from every hint. The decoder reads some of these
cells, the anchors, as hints.
"""

import numpy as np

from pic_jax.photos import brush

# A sample keeps its chroma (`NetworkInput.kept_chroma`) in whole squares of a
# grid with FINE_GRID squares along the short side of the map. The finer
# levels may change this chroma, so it is put back after them.
FINE_GRID = 32
# Anchors are whole squares of a coarser grid, with GRID squares along the short
# side. So no cell of the decoder's map mixes chroma of a hint and an anchor.
GRID = 16
# Cells whose distance from a hint (`brush.distances`) exceeds its reach by at
# most this margin may belong to the hint's object, so their chroma may change.
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
    grid: number of squares along the short side of the map.

  Returns:
    [h, w] bool, True in squares whose cells are all True in `mask`.
  """
  height, width = mask.shape
  rows, columns = np.ogrid[:height, :width]
  short = min(height, width)
  square_ids = (rows * grid // short) * (grid * width) + columns * grid // short
  return ~np.isin(square_ids, square_ids[~mask])
