"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterator

from pic_jax.runtime import errors


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a temporary path whose file replaces `path` at the end.

  A failure leaves an earlier file as it was, and nothing beside it. An
  `OSError` names `path`.
  """
  path = pathlib.Path(path)
  # Short, because `path` may have the longest name that the disk allows.
  temporary = path.with_name(f'.{uuid.uuid4().hex}')
  try:
    with errors.naming(path):
      yield temporary
      temporary.replace(path)
  finally:
    with contextlib.suppress(OSError, ValueError):
      temporary.unlink()


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes a text file in UTF-8."""
  with writing(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
  """Writes a file of bytes."""
  with writing(path) as temporary:
    temporary.write_bytes(data)
