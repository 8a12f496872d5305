"""Anchors: cells that keep their chroma when hints are added elsewhere.

A hint also changes other colours: a red boat makes the sea red. So a sample
with hints keeps the chroma of the same sample without hints in scattered cells
that do not belong to the objects of the hints.
"""

import numpy as np

from pic_jax.photos import brush

GRID = 16  # cells of the short side that anchors are counted in
STEP = 5  # of those cells, one in so many in each direction is an anchor
# As shares of the short side: how near to a hint there are none, and how far
# from it cells may count as part of what it is about.
RADIUS, REACH = 0.25, 0.4


def cells(strokes: list[brush.Stroke], luminance: np.ndarray) -> np.ndarray:
  """Mask of the cells that keep their chroma, [h, w] bool.

  One in `STEP` cells of a map of `GRID`, in each direction, if it is not near a
  hint, nor within its `REACH` and connected to it by cells that are as light.

  Args:
    strokes: the hints.
    luminance: [h, w] L of the cells, 0..100.
  """
  short = min(luminance.shape)
  rows, columns = np.ogrid[: luminance.shape[0], : luminance.shape[1]]
  is_anchor = (rows * GRID // short % STEP == STEP // 2) & (
    columns * GRID // short % STEP == STEP // 2
  )
  for stroke in strokes:
    is_near = brush.distances(stroke, luminance.shape) <= RADIUS * short
    is_anchor &= ~is_near
    is_anchor &= ~brush.cells_within(stroke, luminance, REACH)
  return is_anchor
