"""Points from rows and from text, whatever program wrote the text."""

import codecs

import numpy as np
import pytest

from pic_jax.photos import hint_points
from pic_jax.runtime import errors

RED, BLUE = (200, 30, 30), (30, 30, 200)
ONE = [(300, 700, RED, '')]
TWO = [*ONE, (600, 300, BLUE, '')]
TEXT = '300,700,#c81e1e\n600,300,#1e1ec8\n'


@pytest.mark.parametrize(
  'data,expected',
  [
    (TEXT.encode(), TWO),
    # Other separators, quotes, decimal commas.
    (b'300;700;#c81e1e\n600;300;#1e1ec8', TWO),
    (b'300\t700\t#c81e1e\n600\t300\t#1e1ec8', TWO),
    (b'"300","700","#c81e1e"', ONE),
    (b'"300,0";"700,0";"#c81e1e"', ONE),
    (b'300;700;200;30;30', ONE),
    (b'300, 700, 200, 30, 30', ONE),
    # Line endings, blank lines, and the character that ends a DOS file.
    (TEXT.replace('\n', '\r').encode(), TWO),
    (TEXT.replace('\n', '\r\n').encode(), TWO),
    (b'300,700,#c81e1e\n   \n,,,\n600,300,#1e1ec8\n\x1a', TWO),
    # Encodings, with and without a byte order mark.
    (codecs.BOM_UTF8 + TEXT.encode(), TWO),
    (TEXT.encode('utf-16'), TWO),
    (TEXT.encode('utf-16-le'), TWO),
    (TEXT.encode('utf-16-be'), TWO),
    ('# Dächer\n'.encode('latin-1') + TEXT.encode(), TWO),
    # Comments: with a quote, longer than csv's longest field, after a point.
    (b'# roof, "red\n' + TEXT.encode(), TWO),
    (b'"# roof, red"\n' + TEXT.encode(), TWO),
    (b'#' + b'x' * 140_000 + b'\n' + TEXT.encode(), TWO),
    (b'300,700,#c81e1e  # the roof, "red\n  # no point', ONE),
    # Names of columns.
    (b'x,y,color,size\n' + TEXT.encode(), TWO),
    # Sizes, and an empty field.
    (b'300,700,#c81e1e,', ONE),
    (b'300,700,#c81e1e,L', [(300, 700, RED, 'L')]),
    (b'300;700;200;30;30; s', [(300, 700, RED, 'S')]),
  ],
)
def test_text_of_any_program_is_read(data, expected):
  assert hint_points.parse(data, 'a.csv') == (expected, [])


def test_a_field_that_is_not_a_size_is_ignored_and_reported():
  data = b'300,700,#c81e1e,roof\n600,300,30,30,200,M,wall, x'
  points, notes = hint_points.parse(data, 'a.csv')
  assert points == [TWO[0], (600, 300, BLUE, 'M')]
  assert notes == [
    "ignored, not a size S, M or L: line 1: 'roof'; line 2: 'wall,x'"
  ]
  many = b'1,2,#c81e1e,roof\n' * 9
  (note,) = hint_points.parse(many, 'a.csv')[1]
  assert note.endswith("line 3: 'roof'; 6 more")


@pytest.mark.parametrize(
  'data,text',
  [
    (b'1,2\n', "a.csv, line 1: must be x,y,#rrggbb .*, got '1,2'"),
    (b'\n1,2,#12345\n', 'line 2: must'),
    (b'1,2,3,4,256\n', 'line 1: must'),
    (b'1,2,0.5,0.5,0.5\n', 'line 1: must'),
    (b'nan,2,3,4,5\n', 'line 1: must'),
    (b'x,y,color\n1,two,#123456\n', 'line 2: must'),
    (b'1,2,#123456\nx,y,color\n', 'line 2: must'),
    (b'', 'a.csv gives no hints'),
    (b'# 1,2,#123456\n', 'gives no hints'),
    (b'x,y,color\n', 'gives no hints'),
    (b'\xff\xfe1', 'is not a text file'),
    (b'\x89PNG\r\n\x1a\n\0\0', 'line 3: must'),
    (b'1,2,' + b'3' * 200_000, 'line 1'),
  ],
)
def test_errors_name_mistakes_in_text(data, text):
  with pytest.raises(errors.UserError, match=text) as caught:
    hint_points.parse(data, 'a.csv')
  assert len(str(caught.value)) < 200


def test_rows_are_converted_to_points():
  rows = [
    (1, 2.5, RED),
    [np.float32(3), np.int64(4), np.array(BLUE, np.uint8), 'S'],
    (5, 6, '#C81E1E', ''),
    (7, 8, (200.0, 30.0, 30.0)),
    (7, 8, (0.0, 0.0, 0.0)),
  ]
  expected = [
    (1, 2.5, RED, ''),
    (3, 4, BLUE, 'S'),
    (5, 6, RED, ''),
    (7, 8, RED, ''),
    (7, 8, (0, 0, 0), ''),
  ]
  assert hint_points.check(rows) == expected
  assert hint_points.check(row for row in rows) == expected
  assert hint_points.check(np.array(rows[2:4], object)[:0]) == []


@pytest.mark.parametrize(
  'rows,text',
  [
    (
      [(1, 2, RED), (1, 2, (0.8, 0.1, 0.1))],
      r'hints\[1\].*0 to 255.*multiply them by 255',
    ),
    ([(1, 2, (1.0, 0, 0))], 'multiply them by 255'),
    ([(1, 2, (0, 0, 256))], 'from 0 to 255'),
    ([(1, 2, (float('nan'), 0, 0))], 'from 0 to 255'),
    ([(1, 2, (0.5, 3, 200))], 'whole numbers'),
    ([(1, 2, (1, 2))], r'must be \(r, g, b\) or #rrggbb, got \(1, 2\)'),
    ([(1, 2, 'red')], "got 'red'"),
    ([(1, 2, None)], 'got None'),
    ([('1', 2, RED)], "x and y must be numbers, got '1' and 2"),
    ([(1, 2, RED, 'XL')], "size must be S, M or L, got 'XL'"),
    ([(1, 2, RED, np.array(['S', 'M']))], 'size must be S, M or L, got array'),
    (
      [(1, 2, np.zeros((3, 3)))],
      r'or #rrggbb, got array\(\[\[0., 0., 0.\], \[',
    ),
    (np.array([[300, 700]]), r'must be \(x, y, \(r, g, b\)\).*300'),
    ([RED], 'or #rrggbb, got 30'),
    ([5], 'must be .* got 5'),
    (5, '`hints` must be points .* got 5'),
  ],
)
def test_errors_name_mistakes_in_rows(rows, text):
  with pytest.raises(errors.UserError, match=text):
    hint_points.check(rows)
