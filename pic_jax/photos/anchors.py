"""Anchors: cells that keep their chroma when hints are added elsewhere.

A hint also changes other colours: a red boat makes the sea red. So a sample
with hints keeps the chroma of the same sample without hints in scattered cells
that do not belong to the objects of the hints.
"""

import numpy as np

from pic_jax.photos import brush

GRID = 16  # cells of the short side that anchors are counted in
STEP = 3  # of those cells, one in so many in each direction is an anchor
# `brush.distances` within which a cell may belong to what a hint is about.
FAR = 62.0


def cells(
  strokes: list[brush.Stroke], luminance: np.ndarray, parts: int = 1
) -> np.ndarray:
  """Mask of the cells that keep their chroma, [h, w] bool.

  One in `STEP` cells of a map of `GRID`, in each direction, if it is `FAR` from
  all hints.

  Args:
    strokes: the hints.
    luminance: [parts h, parts w], L 0..100.
    parts: of a cell's side.
  """
  height, width = (side // parts for side in luminance.shape)
  short = min(height, width)
  rows, columns = np.ogrid[:height, :width]
  is_anchor = (rows * GRID // short % STEP == STEP // 2) & (
    columns * GRID // short % STEP == STEP // 2
  )
  for stroke in strokes:
    is_anchor &= brush.distances(stroke, luminance, parts) > FAR
  return is_anchor
