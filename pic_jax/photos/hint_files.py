"""What a user knows of a photograph's colours: points, a CSV, a picture.

Only the (a, b) of a colour count, not its luminance, which the photograph has.
"""

import csv
import hashlib
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from pic_jax.images import any_shape, color, image_files
from pic_jax.photos import network_size
from pic_jax.runtime import errors

# (x, y) in pixels of the upright photograph from its left upper corner, and
# the sRGB colour there.
Point = tuple[float, float, tuple[int, int, int]]
# Points, or a file; see `read`.
Hints = Sequence[Point] | pathlib.Path
OPAQUE = 128  # alpha from which on a pixel of a picture says something


def _means(
  rgb: np.ndarray, rows: np.ndarray, columns: np.ndarray, least: np.ndarray
) -> np.ndarray:
  """Hints [h, w, 3] of cells with at least `least` [h, w] colours [N, 3]."""
  total, count = np.zeros((*least.shape, 2)), np.zeros(least.shape, int)
  np.add.at(total, (rows, columns), any_shape.rgb_to_lab(rgb)[..., 1:])
  np.add.at(count, (rows, columns), 1)
  mean = total / np.maximum(count, 1)[..., None]
  chroma = color.chroma_to_network(color.round_chroma(mean.astype(np.float32)))
  mask = (count >= least)[..., None].astype(np.float32)
  return np.concatenate([mask * np.asarray(chroma), mask], -1)


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
  points: Sequence[Point], size: tuple[int, int], shape: tuple[int, int]
) -> np.ndarray:
  """Cells that hold points; several in one cell are averaged.

  Args:
    points: see `Point`.
    size: height and width of the photograph.
    shape: h, w of its chroma map, without padding.

  Returns:
    [h, w, 3], see `model.hints`.

  Raises:
    UserError: a point outside the photograph, or no colour.
  """
  cells = [cell_at((x, y), size, shape) for x, y, _ in points]
  for x, y, rgb in points:
    if len(rgb) != 3 or not all(0 <= value <= 255 for value in rgb):
      raise errors.UserError(
        f'The hint at ({x:g}, {y:g}) must have a colour (r, g, b) of 0 to 255, '
        f'got {tuple(rgb)}.'
      )
  if not points:
    return np.zeros((*shape, 3), np.float32)
  colours = np.array([rgb for _, _, rgb in points], np.uint8)
  return _means(colours, *np.array(cells).T, np.ones(shape))


def from_picture(
  rgb: np.ndarray, alpha: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
  """Cells of which at least half of the pixels are opaque.

  Args:
    rgb: [H, W, 3] uint8, as large as the photograph.
    alpha: [H, W] uint8.
    shape: h, w of the chroma map, without padding.

  Returns:
    [h, w, 3], see `model.hints`.
  """
  height, width = alpha.shape
  rows = np.arange(height) * shape[0] // height
  columns = np.arange(width) * shape[1] // width
  size = np.outer(np.bincount(rows), np.bincount(columns))
  y, x = np.nonzero(alpha >= OPAQUE)
  return _means(rgb[y, x], rows[y], columns[x], size / 2)


def _read_points(path: pathlib.Path) -> list[Point]:
  """Lines x, y, #rrggbb or x, y, r, g, b; # begins a comment."""
  points = []
  with path.open(encoding='utf-8-sig', newline='') as file:
    for number, row in enumerate(csv.reader(file, skipinitialspace=True), 1):
      if not row or row[0].startswith('#'):
        continue
      try:
        x, y, *rgb = (cell.strip() for cell in row)
        if len(rgb) == 1 and re.fullmatch(r'#[0-9a-fA-F]{6}', rgb[0]):
          rgb = list(bytes.fromhex(rgb[0][1:]))
        red, green, blue = map(int, rgb)
        points.append((float(x), float(y), (red, green, blue)))
      except ValueError:
        raise errors.UserError(
          f'{errors.in_one_line(path)}, line {number}: must be '
          f'x,y,#rrggbb or x,y,r,g,b, got {",".join(row)!r}.'
        ) from None
  return points


def read(
  path: pathlib.Path, size: tuple[int, int], shape: tuple[int, int]
) -> np.ndarray:
  """Hints of a file: points in a .csv, or a picture of the photograph's size.

  Args: as of `from_points`.

  Returns:
    [h, w, 3], see `model.hints`.

  Raises:
    UserError, RunError: it cannot be read, or does not fit the photograph.
  """
  if path.suffix.lower() == '.csv':
    try:
      return from_points(_read_points(path), size, shape)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
      raise errors.UserError(f'{errors.in_one_line(path)}: {error}.') from None
  picture = image_files.load_photograph(path)
  if picture.rgb.shape[:2] != size or picture.alpha is None:
    raise errors.UserError(
      f'{errors.in_one_line(path)} must be as large as the photograph, '
      f'{size[1]} x {size[0]}, and transparent where nothing is known.'
    )
  rgb = np.broadcast_to(picture.rgb, (*size, 3))
  return from_picture(rgb, picture.alpha.reshape(size), shape)


def digest(path: pathlib.Path) -> str:
  """sha256 of a file of hints.

  Raises:
    UserError: it cannot be read.
  """
  try:
    return hashlib.sha256(path.read_bytes()).hexdigest()
  except OSError as error:
    raise errors.UserError(
      f'{errors.in_one_line(path)}: {error.strerror}.'
    ) from None


def padded(network_input: network_size.NetworkInput, factor: int) -> np.ndarray:
  """Hints of a photograph, 0 where there are none, padded as its levels are."""
  hints = network_input.hints
  if hints is None:
    hints = np.zeros((*network_input.shape, 3), np.float32)
  (rows, columns), (height, width) = hints.shape[:2], network_input.levels.shape
  widths = (height // factor - rows, width // factor - columns)
  return np.pad(hints, ((0, widths[0]), (0, widths[1]), (0, 0)))
