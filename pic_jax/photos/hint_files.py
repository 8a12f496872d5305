"""Cells of a chroma map that are known: from points, or from a file.

Only the (a, b) of a colour count, not its luminance, which the photograph has.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pic_jax.images import any_shape, color, image_files
from pic_jax.photos import anchors, brush, hint_points, network_size
from pic_jax.runtime import errors

OPAQUE = 128  # alpha from which on a pixel of a picture says something
TEXT_SUFFIXES = ('.csv', '.tsv', '.txt')
# Points, rows like them, or a file; see `read`.
Hints = Iterable[hint_points.Point | tuple] | str | os.PathLike


class Known(NamedTuple):
  """Hints for the cells of a chroma map.

  Attributes:
    cells: [h, w, 3], see `model.hints`.
    notes: what a user should know, first how many cells are known.
    anchors: [h, w] bool, see `photos.anchors`; None: none.
  """

  cells: np.ndarray
  notes: tuple[str, ...]
  anchors: np.ndarray | None = None


def _known(chroma: np.ndarray, mask: np.ndarray, notes: list[str]) -> Known:
  """Encodes (a, b) [h, w, 2] in Lab units where mask [h, w] is True."""
  given = mask[..., None].astype(np.float32)
  values = color.chroma_to_network(color.round_chroma(chroma))
  count = f'{mask.sum()} of {mask.size} cells are known from hints'
  return Known(
    np.concatenate([given * np.asarray(values), given], -1), (count, *notes)
  )


def cell_at(
  place: tuple[float, float], size: tuple[int, int], shape: tuple[int, int]
) -> tuple[int, int]:
  """Row and column of the cell of (x, y); see `from_points`.

  Raises:
    UserError: it lies outside the photograph.
  """
  x, y = place
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
  parts: int = 1,
) -> Known:
  """Paints points onto the cells of a chroma map; see `brush.paint`.

  Args:
    points: see `hint_points.Point`.
    size: height and width of the photograph.
    luminance: [parts h, parts w], L 0..100, without padding.
    parts: of a cell's side.

  Raises:
    UserError: a point outside the photograph, or what is none.
  """
  strokes, notes = strokes_of(points, size, luminance.shape, parts=parts)
  known = _known(*brush.paint(strokes, luminance, parts), notes)
  return known._replace(anchors=anchors.cells(strokes, luminance, parts))


def strokes_of(
  points: Iterable[hint_points.Point | tuple],
  size: tuple[int, int],
  shape: tuple[int, int],
  *,
  parts: int = 1,
) -> tuple[list[brush.Stroke], list[str]]:
  """The brushes of points, one a cell, and notes.

  Args:
    points: see `hint_points.Point`.
    size: height and width of the photograph.
    shape: of the map of luminance that they are for, parts h and parts w.
    parts: of a cell's side.

  Raises:
    UserError: a point outside the photograph, or what is none.
  """
  checked = hint_points.check(points)
  places = [cell_at(point[:2], size, shape) for point in checked]
  rgb = np.array([point.rgb for point in checked], np.uint8).reshape(-1, 3)
  chroma = any_shape.rgb_to_lab(rgb)[:, 1:]
  last, clashes = {}, []  # one point a cell
  for number, (place, point) in enumerate(zip(places, checked, strict=True)):
    cell = place[0] // parts, place[1] // parts
    if cell in last and checked[last[cell]].rgb != point.rgb:
      clashes.append((checked[last[cell]], point))
    last[cell] = number
  strokes = [
    brush.Stroke(*places[i], tuple(chroma[i]), checked[i].size)
    for i in last.values()
  ]
  notes = []
  if clashes:
    high, wide = (parts * s / n for s, n in zip(size, shape, strict=True))
    notes.append(
      hint_points.listed(
        [
          f'{hint_points.describe(a)} and {hint_points.describe(b)}'
          for a, b in clashes
        ]
      )
      + f' lie in one cell of {wide:.0f} x {high:.0f} pixels: the later one '
      'counts'
    )
  return strokes, notes


def from_picture(
  rgb: np.ndarray, alpha: np.ndarray, shape: tuple[int, int]
) -> Known:
  """Cells of which any pixel is opaque: the mean of those, weighted by alpha.

  Args:
    rgb: [H, W, 3] uint8, as large as the photograph.
    alpha: [H, W] uint8.
    shape: h, w of the chroma map, without padding.
  """
  height, width = alpha.shape
  y, x = np.nonzero(alpha >= OPAQUE)
  rows, columns = y * shape[0] // height, x * shape[1] // width
  total, weight = np.zeros((*shape, 2)), np.zeros(shape)
  weights = alpha[y, x].astype(float)
  chroma = any_shape.rgb_to_lab(rgb[y, x])[..., 1:]
  np.add.at(total, (rows, columns), weights[:, None] * chroma)
  np.add.at(weight, (rows, columns), weights)
  mean = total / np.maximum(weight, 1)[..., None]
  return _known(mean.astype(np.float32), weight > 0, [])


def read(
  path: str | os.PathLike,
  size: tuple[int, int],
  luminance: np.ndarray,
  *,
  parts: int = 1,
) -> Known:
  """Hints of a file: points, or a picture of the photograph's size.

  Args:
    path: a file of points, see `hint_points.parse`, if it ends in one of
      `TEXT_SUFFIXES`.
    size: height and width of the photograph.
    luminance, parts: see `from_points`.

  Raises:
    UserError, RunError: it cannot be read, does not fit the photograph, or
      gives no hints.
  """
  path = pathlib.Path(path)
  name = errors.in_one_line(path)
  if path.suffix.lower() in TEXT_SUFFIXES:
    points, notes = hint_points.parse(_bytes(path), name)
    try:
      known = from_points(points, size, luminance, parts=parts)
    except errors.UserError as error:
      raise errors.UserError(f'{name}: {error}') from None
    return known._replace(notes=(*known.notes, *notes))
  picture = image_files.load_photograph(path)
  if picture.rgb.shape[:2] != size or picture.alpha is None:
    raise errors.UserError(
      f'{name} must be as large as the photograph, '
      f'{size[1]} x {size[0]}, and transparent where nothing is known.'
    )
  rgb = np.broadcast_to(picture.rgb, (*size, 3))
  shape = luminance.shape[0] // parts, luminance.shape[1] // parts
  known = from_picture(rgb, picture.alpha.reshape(size), shape)
  if not known.cells.any():
    raise errors.UserError(
      f'{name} gives no hints: none of its pixels has an alpha of at least '
      f'{OPAQUE}.'
    )
  return known


def _bytes(path: pathlib.Path) -> bytes:
  """Reads a file; raises UserError."""
  try:
    return path.read_bytes()
  except OSError as error:
    raise errors.UserError(
      f'{errors.in_one_line(path)}: {error.strerror}.'
    ) from None


def digest(path: pathlib.Path) -> str:
  """sha256 of a file of hints.

  Raises:
    UserError: it cannot be read.
  """
  return hashlib.sha256(_bytes(path)).hexdigest()


def anchored(
  network_input: network_size.NetworkInput, plain: np.ndarray
) -> network_size.NetworkInput:
  """A photograph whose anchors have become hints.

  Args:
    network_input: with hints and anchors.
    plain: [h, w, 2] Lab integers, a sample without hints.
  """
  hints, mask = network_input.hints, network_input.anchors
  chroma = np.asarray(color.chroma_to_network(np.float32(plain)))
  known = np.concatenate([chroma, np.ones_like(chroma[..., :1])], -1)
  is_free = mask & (hints[..., 2] == 0)
  return dataclasses.replace(
    network_input,
    hints=np.where(is_free[..., None], known, hints),
    anchors=None,
  )


def padded(network_input: network_size.NetworkInput, factor: int) -> np.ndarray:
  """Hints of a photograph, 0 where there are none, padded as its levels are."""
  hints = network_input.hints
  if hints is None:
    hints = np.zeros((*network_input.map_shape, 3), np.float32)
  (rows, columns), (height, width) = (
    hints.shape[:2],
    network_input.grey_values.shape,
  )
  widths = (height // factor - rows, width // factor - columns)
  return np.pad(hints, ((0, widths[0]), (0, widths[1]), (0, 0)))
