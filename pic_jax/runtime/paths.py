"""Parsing of paths in flags."""

import os
from collections.abc import Sequence


def expand(path: str) -> str:
  """Expands a leading `~` to the home folder.

  The shell does it in `--workdir ~/run`, but not in `--workdir=~/run`. Only
  for `~` and `~/`: a file may be called `~notes.jpg`.
  """
  if path == '~' or path.startswith(('~/', f'~{os.sep}')):
    return os.path.expanduser(path)
  return path


def split(text: str) -> list[str]:
  """Splits paths at commas, except those that belong to a name.

  Of several readings the longest path that exists is taken, with or without
  an '@step' at its end.
  """
  parts: Sequence[str] = text.split(',')
  found = []
  while parts:
    count = 1
    for end in range(len(parts), 1, -1):
      name = expand(','.join(parts[:end]))
      workdir, _, step = name.rpartition('@')
      if os.path.exists(name) or (step.isdecimal() and os.path.exists(workdir)):
        count = end
        break
    found.append(expand(','.join(parts[:count])))
    parts = parts[count:]
  return found
