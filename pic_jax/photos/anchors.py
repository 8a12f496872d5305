"""Anchors, which are cells that keep their chroma when hints are added.

A hint for one object can change the colours of other objects. For example, a
hint for a red boat can make the sea red. Therefore each sample is first drawn
without hints. Then it is drawn again with hints, and keeps the chroma of the
first sample in the anchors. These are scattered cells far from all hints.
"""

import numpy as np

from pic_jax.photos import brush

# Anchors lie on a grid with GRID squares along the short side of the map. In
# each direction, one in STEP squares is an anchor.
GRID = 16
STEP = 3
# A cell at a smaller distance (`brush.distances`) from a hint may belong to the
# hint's object, so it is not an anchor.
FAR = 62.0


def cells(
  strokes: list[brush.Stroke], luminance: np.ndarray, cell_side: int = 1
) -> np.ndarray:
  """Returns a mask of the anchors.

  Args:
    strokes: the hints.
    luminance: [cell_side h, cell_side w] L in 0..100.
    cell_side: side of a cell in pixels of `luminance`.

  Returns:
    [h, w] bool, True for anchors.
  """
  height, width = (side // cell_side for side in luminance.shape)
  short = min(height, width)
  rows, columns = np.ogrid[:height, :width]
  is_anchor = (rows * GRID // short % STEP == STEP // 2) & (
    columns * GRID // short % STEP == STEP // 2
  )
  for stroke in strokes:
    is_anchor &= brush.distances(stroke, luminance, cell_side) > FAR
  return is_anchor
