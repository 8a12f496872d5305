"""Points of a photograph whose colours a user knows: checked, or read as text.

Command line, Python and page read points here and nowhere else.
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
MAX_LISTED = 3
FORMS = 'x,y,#rrggbb or x,y,r,g,b of 0 to 255, with a size S, M or L if wanted'
# After a space: '#' that begins no colour.
_REMARK = re.compile(r'\s#(?![0-9a-fA-F]{6}\b).*')
_HEX = re.compile(r'#([0-9a-fA-F]{6})')


class Point(NamedTuple):
  """A colour that is known at a place.

  Attributes:
    x, y: pixels of the upright photograph from its left upper corner.
    rgb: sRGB there, 0..255.
    size: of the brush, see `brush.REACHES`; '' for the usual one.
  """

  x: float
  y: float
  rgb: tuple[int, int, int]
  size: str = ''


def _rgb_of(value: Any) -> tuple[int, int, int]:
  """Checks a colour: '#rrggbb', or three whole numbers of 0 to 255.

  Raises:
    ValueError: the text says what is wrong.
  """
  text = f'got {value!r:.60}'
  if isinstance(value, str):
    match = _HEX.fullmatch(value.strip())
    value = bytes.fromhex(match[1]) if match else ()
  levels = tuple(value) if isinstance(value, Iterable) else ()
  is_rgb = len(levels) == 3 and all(isinstance(c, Real) for c in levels)
  if not is_rgb:
    raise ValueError(f'its colour must be (r, g, b) or #rrggbb, {text}')
  if not all(0 <= c <= 255 for c in levels):
    raise ValueError(f'its colour must be of 0 to 255, {text}')
  is_whole = all(isinstance(c, Integral) for c in levels)
  if not is_whole and 0 < max(levels) <= 1:
    raise ValueError(f'its colour must be of 0 to 255, {text}: times 255')
  if any(c != int(c) for c in levels):
    raise ValueError(f'its colour must be whole numbers, {text}')
  return tuple(int(c) for c in levels)


def check(points: Iterable[Point | tuple]) -> list[Point]:
  """Points of rows (x, y, colour) or (x, y, colour, size) from outside.

  Raises:
    UserError: names the row, what it must be and what it is.
  """
  try:
    rows = list(points)
  except TypeError:
    raise errors.UserError(
      f'`hints` must be points (x, y, (r, g, b)) or a file, got {points!r:.60}.'
    ) from None
  checked = []
  for number, row in enumerate(rows):
    try:
      checked.append(_point_of(row))
    except ValueError as error:
      text = ' '.join(str(error).split())  # arrays print several lines
      raise errors.UserError(f'`hints[{number}]`: {text}.') from None
  return checked


def _point_of(row: Any) -> Point:
  """One row of `check`; raises ValueError."""
  is_row = isinstance(row, (tuple, list, np.ndarray)) and len(row) in (3, 4)
  if not is_row:
    raise ValueError(
      f'must be (x, y, (r, g, b)) or (x, y, (r, g, b), size), got {row!r:.60}'
    )
  x, y, rgb, *rest = row
  if not all(isinstance(side, Real) for side in (x, y)):
    raise ValueError(f'x and y must be numbers, got {x!r:.20} and {y!r:.20}')
  size = rest[0] if rest else ''
  if not isinstance(size, str) or size not in SIZES:
    raise ValueError(f'its size must be S, M or L, got {size!r:.20}')
  return Point(float(x), float(y), _rgb_of(rgb), size)


def describe(point: Point) -> str:
  """'#rrggbb at (x, y)'."""
  return f'#{bytes(point.rgb).hex()} at ({point.x:g}, {point.y:g})'


def listed(texts: list[str]) -> str:
  """The first of some texts, and how many more there are."""
  more = len(texts) - MAX_LISTED
  tail = [f'{more} more'] if more > 0 else []
  return '; '.join(texts[:MAX_LISTED] + tail)


def _decode(data: bytes) -> str:
  """Text of UTF-8 or UTF-16, with a mark or without; else Windows-1252.

  Raises:
    UnicodeDecodeError: it is no text.
  """
  if data[:2] in (b'\xff\xfe', b'\xfe\xff'):
    return data.decode('utf-16')
  if b'\0' in data[:2]:  # digits and '#' have one zero byte in UTF-16
    return data.decode('utf-16-be' if data[0] == 0 else 'utf-16-le')
  try:
    return data.decode('utf-8-sig')
  except UnicodeDecodeError:
    return data.decode('cp1252', 'replace')


def _lines(text: str) -> Iterator[tuple[int, str]]:
  """Lines that say something, with their numbers, without comments."""
  for number, line in enumerate(re.split(r'\r\n|\r|\n', text), 1):
    line = _REMARK.sub('', line).strip(' \x1a')
    if line.strip('\t"\' ,;') and not line.lstrip('" \t').startswith('#'):
      yield number, line


def _is_header(line: str) -> bool:
  """Whether a line has names of columns, and neither numbers nor colours."""
  return not re.search(r'[0-9#]', line)


def _parse_line(line: str) -> tuple[Point, list[str]]:
  """The point of a line, and what else it says.

  Raises:
    ValueError: it is none.
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
  """See `_parse_line`."""
  x, y, *rest = row
  # Decimal commas, where another character separates.
  x, y = (float(side.replace(',', '.')) for side in (x, y))
  if not (math.isfinite(x) and math.isfinite(y)):
    raise ValueError('no place')
  is_hex = bool(rest) and rest[0].startswith('#')
  count = 1 if is_hex else 3
  rgb = _rgb_of(rest[0] if is_hex else [int(c) for c in rest[:3]])
  more = [cell for cell in rest[count:] if cell]
  if more and more[0].upper() in SIZES:
    return Point(x, y, rgb, more[0].upper()), more[1:]
  return Point(x, y, rgb), more


def parse(data: bytes, name: str) -> tuple[list[Point], list[str]]:
  """Reads the bytes of a file of points, whatever program wrote it.

  Lines are x,y,#rrggbb or x,y,r,g,b, then a size S, M or L or nothing;
  separated by commas, semicolons or tabs; quoted or not; a first line may name
  the columns; # begins a comment.

  Args:
    data: the file.
    name: what messages call it.

  Returns:
    The points, and notes about what was ignored.

  Raises:
    UserError: names the line that is none of these; or there are no points.
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
    notes.append(f'ignored, as no size S, M or L: {listed(ignored)}')
  return points, notes
