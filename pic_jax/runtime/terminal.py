"""Output for the terminal: progress lines, tables and durations."""

import sys
from collections.abc import Sequence

import jax


def say(text: str) -> None:
  """Prints a progress line to stderr, in process 0 only."""
  if jax.process_index() == 0:
    print(text, file=sys.stderr, flush=True)


def table(rows: Sequence[Sequence[str]]) -> str:
  """Formats rows as a table with aligned columns.

  Args:
    rows: rows with equal numbers of cells. The first column is aligned to the
      left, and all other columns to the right.
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = []
  for name, *cells in rows:
    numbers = map(str.rjust, cells, widths[1:])
    lines.append('  '.join([name.ljust(widths[0]), *numbers]).rstrip())
  return '\n'.join(lines)


def format_duration(seconds: float) -> str:
  """Formats seconds as 1:02:03 or 02:03."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  text = f'{minutes:02d}:{seconds:02d}'
  return f'{hours}:{text}' if hours else text
