"""Hints as points of a photograph, from Python values or from text.

The command line, Python and the app all read points with these functions.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from pic_jax.photos import brush
from pic_jax.runtime import errors

DELIMITERS = (',', ';', '\t')
SIZES = ('', *brush.REACHES)
MAX_LISTED = 3  # largest number of texts that `listed` shows
# The forms of a line, for messages.
FORMS = (
  'x,y,#rrggbb or x,y,r,g,b with r, g and b from 0 to 255, optionally followed '
  'by a size S, M or L'
)
# A comment: '#' after a space or tab, unless the '#' begins a colour.
_COMMENT = re.compile(r'\s#(?![0-9a-fA-F]{6}\b).*')
_HEX = re.compile(r'#([0-9a-fA-F]{6})')


class Point(NamedTuple):
  """A hint at one point of a photograph.

  Attributes:
    x, y: position in pixels from the upper left corner of the upright
      photograph.
    rgb: sRGB colour of the point, 0..255.
    size: size of the brush, a key of `brush.REACHES` or '' for the default.
  """

  x: float
  y: float
  rgb: tuple[int, int, int]
  size: str = ''


def _rgb_of(value: Any) -> tuple[int, int, int]:
  """Converts '#rrggbb', or any three whole numbers from 0 to 255, to integers.

  Raises:
    ValueError: if `value` is neither; the text says what is wrong.
  """
  got = f'got {value!r:.60}'
  if isinstance(value, str):
    match = _HEX.fullmatch(value.strip())
    value = bytes.fromhex(match[1]) if match else ()
  channels = tuple(value) if isinstance(value, Iterable) else ()
  is_rgb = len(channels) == 3 and all(isinstance(c, Real) for c in channels)
  if not is_rgb:
    raise ValueError(f'its colour must be (r, g, b) or #rrggbb, {got}')
  if not all(0 <= c <= 255 for c in channels):
    raise ValueError(f'its colour values must be from 0 to 255, {got}')
  is_whole = all(isinstance(c, Integral) for c in channels)
  if not is_whole and 0 < max(channels) <= 1:
    raise ValueError(
      f'its colour values must be from 0 to 255, {got}; multiply them by 255'
    )
  if any(c != int(c) for c in channels):
    raise ValueError(f'its colour values must be whole numbers, {got}')
  red, green, blue = map(int, channels)
  return red, green, blue


def check(points: Iterable[Point | tuple]) -> list[Point]:
  """Checks rows (x, y, colour) or (x, y, colour, size), and makes them points.

  Raises:
    UserError: if a row is invalid; the text names the row.
  """
  try:
    rows = list(points)
  except TypeError:
    raise errors.UserError(
      f'`hints` must be points (x, y, (r, g, b)) or a file, got {points!r:.60}.'
    ) from None
  checked = []
  for index, row in enumerate(rows):
    try:
      checked.append(_point_of(row))
    except ValueError as error:
      text = ' '.join(str(error).split())  # arrays print several lines
      raise errors.UserError(f'`hints[{index}]`: {text}.') from None
  return checked


def _point_of(row: Any) -> Point:
  """Converts one row; raises `ValueError` if it is invalid."""
  is_row = isinstance(row, (tuple, list, np.ndarray)) and len(row) in (3, 4)
  if not is_row:
    raise ValueError(
      f'must be (x, y, (r, g, b)) or (x, y, (r, g, b), size), got {row!r:.60}'
    )
  x, y, rgb, *rest = row
  if not all(isinstance(coordinate, Real) for coordinate in (x, y)):
    raise ValueError(f'x and y must be numbers, got {x!r:.20} and {y!r:.20}')
  size = rest[0] if rest else ''
  if not isinstance(size, str) or size not in SIZES:
    raise ValueError(f'its size must be S, M or L, got {size!r:.20}')
  return Point(float(x), float(y), _rgb_of(rgb), size)


def describe(point: Point) -> str:
  """Formats a point as '#rrggbb at (x, y)'."""
  return f'#{bytes(point.rgb).hex()} at ({point.x:g}, {point.y:g})'


def listed(texts: list[str]) -> str:
  """Joins the first `MAX_LISTED` texts, and says how many more there are."""
  num_more = len(texts) - MAX_LISTED
  tail = [f'{num_more} more'] if num_more > 0 else []
  return '; '.join(texts[:MAX_LISTED] + tail)


def _decode(data: bytes) -> str:
  """Decodes UTF-8, UTF-16 (both with or without a BOM) or Windows-1252.

  Raises:
    UnicodeDecodeError: if the text is UTF-16 and damaged.
  """
  if data[:2] in (b'\xff\xfe', b'\xfe\xff'):
    return data.decode('utf-16')
  if b'\0' in data[:2]:  # in UTF-16, one of the bytes of a digit or '#' is 0
    return data.decode('utf-16-be' if data[0] == 0 else 'utf-16-le')
  try:
    return data.decode('utf-8-sig')
  except UnicodeDecodeError:
    return data.decode('cp1252', 'replace')


def _lines(text: str) -> Iterator[tuple[int, str]]:
  """Yields number and text of each line that is neither empty nor a comment."""
  for number, line in enumerate(re.split(r'\r\n|\r|\n', text), 1):
    line = _COMMENT.sub('', line).strip(' \x1a')  # \x1a ends DOS text files
    if line.strip('\t"\' ,;') and not line.lstrip('" \t').startswith('#'):
      yield number, line


def _is_header(line: str) -> bool:
  """Tests whether a line may hold names of columns: it has no digit or '#'."""
  return not re.search(r'[0-9#]', line)


def _parse_line(line: str) -> tuple[Point, list[str]]:
  """Parses the point in a line of text.

  Returns:
    The point, and further cells of the line, which are ignored.

  Raises:
    ValueError: if there is no point in the line.
  """
  for delimiter in DELIMITERS:
    row = next(
      csv.reader([line], delimiter=delimiter, skipinitialspace=True), []
    )
    try:
      return _parse_row([cell.strip() for cell in row])
    except ValueError:
      continue
  raise ValueError(f'must be {FORMS}, got {line!r:.60}')


def _parse_row(row: list[str]) -> tuple[Point, list[str]]:
  """Parses the cells of a line; see `_parse_line`."""
  x, y, *rest = row
  # x and y may have decimal commas if the delimiter is another character.
  x, y = (float(cell.replace(',', '.')) for cell in (x, y))
  if not (math.isfinite(x) and math.isfinite(y)):
    raise ValueError('not a position')
  is_hex = bool(rest) and rest[0].startswith('#')
  num_colour_cells = 1 if is_hex else 3
  rgb = _rgb_of(rest[0] if is_hex else [int(c) for c in rest[:3]])
  more = [cell for cell in rest[num_colour_cells:] if cell]
  if more and more[0].upper() in SIZES:
    return Point(x, y, rgb, more[0].upper()), more[1:]
  return Point(x, y, rgb), more


def parse(data: bytes, name: str) -> tuple[list[Point], list[str]]:
  """Parses a file of points, as editors and spreadsheet programs write it.

  Each line is x,y,#rrggbb or x,y,r,g,b, and may end in a size S, M or L. Cells
  are separated by commas, semicolons or tabs, and may be quoted. The first line
  may have names of columns. '#' begins a comment.

  Args:
    data: contents of the file.
    name: name of the file in messages.

  Returns:
    Points, and notes about ignored cells.

  Raises:
    UserError: if there are no points, or a line is invalid; the text names the
      line.
  """
  try:
    lines = list(_lines(_decode(data)))
  except UnicodeDecodeError:
    raise errors.UserError(f'{name} is not a text file.') from None
  points, ignored = [], []
  for index, (number, line) in enumerate(lines):
    if not index and _is_header(line):
      continue
    try:
      point, more = _parse_line(line)
    except (ValueError, csv.Error) as error:
      raise errors.UserError(f'{name}, line {number}: {error}.') from None
    points.append(point)
    if more:
      ignored.append(f'line {number}: {",".join(more)!r:.40}')
  if not points:
    raise errors.UserError(f'{name} gives no hints: its lines must be {FORMS}.')
  notes = []
  if ignored:
    notes.append(f'ignored, not a size S, M or L: {listed(ignored)}')
  return points, notes
