"""Conversion of hints to known cells of a chroma map.

Hints are points, a file of points or a picture. Only the (a, b) of a hint's
colour is used, together with the luminance of the photograph.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import any_shape, color, image_files
from pic_jax.photos import anchors, brush, hint_points, network_size
from pic_jax.runtime import errors

OPAQUE = 128  # smallest alpha of a pixel that counts as a hint
TEXT_SUFFIXES = ('.csv', '.tsv', '.txt')
# Points, rows with the fields of points, or the path of a file; see `read`.
Hints = Iterable[hint_points.Point | tuple] | str | os.PathLike


class KnownCells(NamedTuple):
  """Hints for a chroma map.

  Attributes:
    cells: [h, w, 3] chroma in network units and a mask, see `model.hints`.
    notes: notes for the user; the first one says how many cells are known.
    kept: [h, w] weight of the chroma that a sample has without hints: 1 far
      from all hints (see `anchors.cells`), between 0 and 1 where a hint fades
      (see `brush.Painted`), 0 elsewhere. None for pictures of hints.
  """

  cells: np.ndarray
  notes: tuple[str, ...]
  kept: np.ndarray | None = None


def _encode(
  chroma: np.ndarray, mask: np.ndarray, notes: list[str]
) -> KnownCells:
  """Encodes hints for the model.

  Args:
    chroma: [h, w, 2] (a, b) in Lab units.
    mask: [h, w] bool, True for the cells that are known.
    notes: further notes for the user.
  """
  known = mask[..., None].astype(np.float32)
  values = color.chroma_to_network(color.round_chroma(jnp.asarray(chroma)))
  count = f'{mask.sum()} of {mask.size} cells are known from hints'
  return KnownCells(
    np.concatenate([known * np.asarray(values), known], -1), (count, *notes)
  )


def cell_at(
  position: tuple[float, float], size: tuple[int, int], shape: tuple[int, int]
) -> tuple[int, int]:
  """Returns the row and the column of the cell that contains a point.

  Args:
    position: (x, y) of the point in pixels of the photograph.
    size: height and width of the photograph.
    shape: height and width of the map of cells. It may also be a map of
      luminance, whose cells are its pixels.

  Raises:
    UserError: if the point lies outside the photograph.
  """
  x, y = position
  if not (0 <= x < size[1] and 0 <= y < size[0]):
    raise errors.UserError(
      f'The hint at ({x:g}, {y:g}) lies outside the photograph, which is '
      f'{size[1]} x {size[0]}.'
    )
  return int(y * shape[0] / size[0]), int(x * shape[1] / size[1])


def from_points(
  points: Iterable[hint_points.Point | tuple],
  size: tuple[int, int],
  luminance: np.ndarray,
  *,
  cell_side: int = 1,
) -> KnownCells:
  """Paints points onto the cells of a chroma map; see `brush.paint`.

  Args:
    points: see `hint_points.Point`.
    size: height and width of the photograph.
    luminance: [cell_side h, cell_side w] L in 0..100, without padding.
    cell_side: side of a cell in pixels of `luminance`.

  Raises:
    UserError: if a point is invalid or lies outside the photograph.
  """
  strokes, notes = strokes_of(
    points, size, luminance.shape, cell_side=cell_side
  )
  painted = brush.paint(strokes, luminance, cell_side)
  known = _encode(painted.chroma, painted.is_reached, notes)
  kept = np.where(
    painted.is_reached,
    1.0 - painted.weights,
    anchors.cells(strokes, luminance, cell_side),
  )
  return known._replace(kept=kept)


def strokes_of(
  points: Iterable[hint_points.Point | tuple],
  size: tuple[int, int],
  shape: tuple[int, int],
  *,
  cell_side: int = 1,
) -> tuple[list[brush.Stroke], list[str]]:
  """Converts points to strokes, at most one for each cell of the chroma map.

  Args:
    points: see `hint_points.Point`.
    size: height and width of the photograph.
    shape: height and width of the luminance for brushes, in whose pixels
      strokes have their positions.
    cell_side: side of a cell in pixels of that luminance.

  Returns:
    Strokes, and notes for the user.

  Raises:
    UserError: if a point is invalid or lies outside the photograph.
  """
  points = hint_points.check(points)
  pixels = [cell_at(point[:2], size, shape) for point in points]
  rgb = np.array([point.rgb for point in points], np.uint8).reshape(-1, 3)
  chroma = any_shape.rgb_to_lab(rgb)[:, 1:]
  last_in_cell = {}  # index of the last point in a cell, keyed by the cell
  clashes = []  # pairs of points in one cell with different colours
  for index, (row, column) in enumerate(pixels):
    cell = row // cell_side, column // cell_side
    if cell in last_in_cell:
      earlier = points[last_in_cell[cell]]
      if earlier.rgb != points[index].rgb:
        clashes.append((earlier, points[index]))
      del last_in_cell[cell]  # The new entry is the last one in the dict.
    last_in_cell[cell] = index
  strokes = []
  for index in last_in_cell.values():
    (row, column), (a, b) = pixels[index], chroma[index]
    strokes.append(brush.Stroke(row, column, (a, b), points[index].size))
  notes = []
  if clashes:
    # The size of a cell in pixels of the photograph.
    height, width = (
      cell_side * full / small for full, small in zip(size, shape, strict=True)
    )
    notes.append(
      hint_points.listed(
        [
          f'{hint_points.describe(earlier)} and {hint_points.describe(later)}'
          for earlier, later in clashes
        ]
      )
      + f' lie in one cell of {width:.0f} x {height:.0f} pixels: the later one '
      'counts'
    )
  return strokes, notes


def from_picture(
  rgb: np.ndarray, alpha: np.ndarray, shape: tuple[int, int]
) -> KnownCells:
  """Converts a picture of hints to known cells.

  A cell is known if at least one of its pixels has an alpha of `OPAQUE` or
  more. It gets the mean chroma of these pixels, weighted by alpha.

  Args:
    rgb: [H, W, 3] uint8, as large as the photograph.
    alpha: [H, W] uint8.
    shape: (h, w) of the chroma map, without padding.
  """
  height, width = alpha.shape
  y, x = np.nonzero(alpha >= OPAQUE)
  rows, columns = y * shape[0] // height, x * shape[1] // width
  chroma_sums, weight_sums = np.zeros((*shape, 2)), np.zeros(shape)
  weights = alpha[y, x].astype(float)
  chroma = any_shape.rgb_to_lab(rgb[y, x])[..., 1:]
  np.add.at(chroma_sums, (rows, columns), weights[:, None] * chroma)
  np.add.at(weight_sums, (rows, columns), weights)
  mean = chroma_sums / np.maximum(weight_sums, 1)[..., None]
  return _encode(mean.astype(np.float32), weight_sums > 0, [])


def read(
  path: str | os.PathLike,
  size: tuple[int, int],
  luminance: np.ndarray,
  *,
  cell_side: int = 1,
) -> KnownCells:
  """Reads hints from a file.

  Args:
    path: path of the file. With a suffix in `TEXT_SUFFIXES` it is a file of
      points (see `hint_points.parse`), and otherwise a picture as large as the
      photograph.
    size: height and width of the photograph.
    luminance: [cell_side h, cell_side w] L in 0..100, without padding.
    cell_side: side of a cell in pixels of `luminance`.

  Raises:
    UserError: if the file does not fit the photograph or gives no hints, or a
      file of points cannot be read.
    RunError: if a picture cannot be read.
  """
  path = pathlib.Path(path)
  name = errors.in_one_line(path)
  if path.suffix.lower() in TEXT_SUFFIXES:
    points, notes = hint_points.parse(_bytes(path), name)
    try:
      known = from_points(points, size, luminance, cell_side=cell_side)
    except errors.UserError as error:
      raise errors.UserError(f'{name}: {error}') from None
    return known._replace(notes=(*known.notes, *notes))
  picture = image_files.load_photograph(path)
  if picture.rgb.shape[:2] != size or picture.alpha is None:
    raise errors.UserError(
      f'{name} must be as large as the upright photograph, '
      f'{size[1]} x {size[0]}, and transparent where nothing is known; got '
      f'{picture.rgb.shape[1]} x {picture.rgb.shape[0]}'
      f'{", opaque everywhere" if picture.alpha is None else ""}.'
    )
  rgb = np.broadcast_to(picture.rgb, (*size, 3))
  shape = luminance.shape[0] // cell_side, luminance.shape[1] // cell_side
  known = from_picture(rgb, picture.alpha.reshape(size), shape)
  if not known.cells.any():
    raise errors.UserError(
      f'{name} gives no hints: none of its pixels has an alpha of at least '
      f'{OPAQUE}.'
    )
  return known


def _bytes(path: pathlib.Path) -> bytes:
  """Reads a file; raises `UserError` if this fails."""
  try:
    return path.read_bytes()
  except OSError as error:
    raise errors.UserError(
      f'{errors.in_one_line(path)}: {error.strerror}.'
    ) from None


def digest(path: pathlib.Path) -> str:
  """Returns the sha256 digest of a file of hints.

  Raises:
    UserError: if the file cannot be read.
  """
  return hashlib.sha256(_bytes(path)).hexdigest()


# This is a single program. Otherwise the first pin in the web app would have to
# wait while a dozen small programs are compiled.
@jax.jit
def _mixed(
  plain: jax.Array, hinted: jax.Array, plain_share: jax.Array
) -> jax.Array:
  """Mixes the chroma of a sample and of hints, and rounds it to Lab integers.

  Args:
    plain: [h, w, 2] chroma of the sample without hints, in Lab units.
    hinted: [h, w, 2] chroma of the hints, in network units.
    plain_share: [h, w, 1] weight of the sample's chroma, 0..1.

  Returns:
    [h, w, 2] Lab integers, converted to network units.
  """
  plain = color.chroma_to_network(plain)
  mixed = plain_share * plain + (1.0 - plain_share) * hinted
  rounded = color.round_chroma(color.chroma_from_network(mixed))
  return color.chroma_to_network(rounded)


def anchored(
  network_input: network_size.NetworkInput, plain: np.ndarray
) -> network_size.NetworkInput:
  """Lets hints fade, and keeps the chroma of all cells far from them.

  Args:
    network_input: photograph with `hints` and `kept`. A photograph without one
      of them is returned unchanged.
    plain: [h, w, 2] Lab integers of a sample that was drawn without hints.

  Returns:
    The photograph for the second draw, with `kept` None. Hints that fade are
    mixed with `plain`, and anchors have become hints. `kept_chroma` is set in
    the cells whose weight in `kept` is 1.
  """
  hints, kept = network_input.hints, network_input.kept
  if hints is None or kept is None:
    return network_input
  is_kept = kept == 1
  is_known = (hints[..., 2:] > 0) | anchors.whole_squares(is_kept)[..., None]
  values = np.asarray(
    _mixed(
      np.asarray(plain, np.float32),
      hints[..., :2],
      np.asarray(kept, np.float32)[..., None],
    )
  )
  return dataclasses.replace(
    network_input,
    hints=np.concatenate([values * is_known, is_known], -1, dtype=np.float32),
    kept=None,
    kept_chroma=np.where(is_kept[..., None], plain, np.nan),
  )


def without_faded(
  network_input: network_size.NetworkInput,
) -> network_size.NetworkInput:
  """Removes hints from the cells in which they fade by more than half.

  This serves predictions, for which there is no sample to mix the hints with.
  """
  hints, kept = network_input.hints, network_input.kept
  if hints is None or kept is None:
    return network_input
  return dataclasses.replace(
    network_input,
    hints=np.where((kept <= 0.5)[..., None], hints, np.float32(0)),
    kept=None,
  )


def padded(network_input: network_size.NetworkInput, factor: int) -> np.ndarray:
  """Returns the hints of a photograph, padded like its `grey_values`.

  Args:
    network_input: the photograph.
    factor: side of a cell in grey values.

  Returns:
    [H' / factor, W' / factor, 3] float32, 0 where there is no hint.
  """
  hints = network_input.hints
  if hints is None:
    hints = np.zeros((*network_input.map_shape, 3), np.float32)
  height, width = network_input.grey_values.shape
  below = height // factor - hints.shape[0]
  right = width // factor - hints.shape[1]
  return np.pad(hints, ((0, below), (0, right), (0, 0)))
