"""Parsing of the paths that command-line flags hold."""

import os
from collections.abc import Sequence


def expand(path: str) -> str:
  """Expands `~` alone or a leading `~/` to the home folder.

  The shell does this in `--workdir ~/run`, but not in `--workdir=~/run`. Other
  paths that begin with `~` stay unchanged, because a file may be called
  `~notes.jpg`.
  """
  if path == '~' or path.startswith(('~/', f'~{os.sep}')):
    return os.path.expanduser(path)
  return path


def split(text: str) -> list[str]:
  """Splits a list of paths at commas, and expands each path; see `expand`.

  Commas are part of a path if the text that includes them is an existing path,
  with or without an '@step' at its end.
  """
  parts: Sequence[str] = text.split(',')
  result = []
  while parts:
    count = 1
    for end in range(len(parts), 1, -1):
      name = expand(','.join(parts[:end]))
      workdir, _, step = name.rpartition('@')
      if os.path.exists(name) or (step.isdecimal() and os.path.exists(workdir)):
        count = end
        break
    result.append(expand(','.join(parts[:count])))
    parts = parts[count:]
  return result
