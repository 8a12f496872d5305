"""One of several runs that share a folder of photographs between them.

A photograph belongs to the shard that its name hashes to; nothing else is
agreed upon. Each shard has a lock, a journal and a folder for unfinished files
of its own; the run without a shard takes the journals over.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
import shutil

from pic_jax.runtime import errors, lock


@dataclasses.dataclass(frozen=True)
class Shard:
  """Photographs number `index` of `count` shares, from 1 on."""

  index: int = 1
  count: int = 1

  @property
  def part(self) -> str:
    """Names its files; '' for the whole, which is no shard."""
    return f'{self.index}of{self.count}' if self.count > 1 else ''

  def has(self, name: str) -> bool:
    """Whether the photograph of this name is one of its own."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:8], 'big') % self.count == self.index - 1

  def rename(self, name: str) -> str:
    """The shard's own variant of a file's name: 'a.b' -> 'a.3of16.b'."""
    if not self.part:
      return name
    stem, dot, suffix = name.rpartition('.')
    return (
      f'{stem}.{self.part}.{suffix}' if stem else f'{dot}{suffix}.{self.part}'
    )


WHOLE = Shard()


def parse(text: str) -> Shard:
  """Reads '3/16'; '' is the whole.

  Raises:
    UserError: it is no such pair.
  """
  if not text:
    return WHOLE
  match = re.fullmatch(r'(\d{1,6})/(\d{1,6})', text)
  if not match or not 1 <= int(match[1]) <= int(match[2]):
    raise errors.UserError(
      f'--shard must be like 3/16, from 1/16 to 16/16, got {text!r}.'
    )
  return Shard(int(match[1]), int(match[2]))


def journals(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
  """Journals of shards, the one written last is last."""
  stem, _, suffix = name.rpartition('.')
  found = folder.glob(f'{stem}.*of*.{suffix}')
  return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def take_over(folder: pathlib.Path, journal: str, partial: str) -> None:
  """Appends the journals of all shards to that of the whole, and clears up.

  For a process that holds the whole folder. Killed meanwhile, it leaves
  entries twice, which say the same.
  """
  for path in journals(folder, journal):
    text = path.read_text(encoding='utf-8')
    with (folder / journal).open('a', encoding='utf-8') as file:
      with errors.naming(file.name):
        file.write(f'\n{text}\n')  # ends lines that were cut off
    path.unlink()
  for path in folder.glob(f'{partial}.*of*'):
    shutil.rmtree(path, ignore_errors=True)
  for path in folder.glob(f'{lock.LOCK_FILE}.*of*'):
    path.unlink(missing_ok=True)
