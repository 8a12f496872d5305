"""Writing of files that appear whole or not at all."""

import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterator

from pic_jax.runtime import errors


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a temporary path, and renames its file to `path` at the end.

  On failure the temporary file is deleted, and an earlier file at `path` stays
  unchanged. If an `OSError` names the temporary file or no file, its file name
  is set to `path`.
  """
  path = pathlib.Path(path)
  # The name is short, because `path` may have the longest name that the disk
  # allows.
  temporary = path.with_name(f'.{uuid.uuid4().hex}')
  try:
    with errors.with_file_name(path):
      yield temporary
      temporary.replace(path)
  except OSError as error:
    if error.filename is not None and pathlib.Path(error.filename) == temporary:
      error.filename = str(path)
    raise
  finally:
    with contextlib.suppress(OSError, ValueError):
      temporary.unlink()


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes a UTF-8 text file, whole or not at all."""
  with writing(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
  """Writes a binary file, whole or not at all."""
  with writing(path) as temporary:
    temporary.write_bytes(data)
