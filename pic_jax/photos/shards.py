"""Shards: the shares of a folder's photographs that several machines colour.

The hash of a photograph's name determines its shard, so the machines need not
communicate. Each shard has its own lock, journal and folder of unfinished
files. A later run without a shard merges the journals.
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
  """One of several shards, or all photographs if `count` is 1.

  Attributes:
    index: number of the shard, from 1 to `count`.
    count: number of shards.
  """

  index: int = 1
  count: int = 1

  @property
  def file_tag(self) -> str:
    """Text in the names of the shard's files, '' for all photographs."""
    return f'{self.index}of{self.count}' if self.count > 1 else ''

  def has(self, name: str) -> bool:
    """Tests whether the photograph of this name belongs to the shard."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:8], 'big') % self.count == self.index - 1

  def tagged_name(self, name: str) -> str:
    """Adds the tag to a name: 'a.b' -> 'a.3of16.b', '.a' -> '.a.3of16'."""
    if not self.file_tag:
      return name
    stem, dot, suffix = name.rpartition('.')
    return (
      f'{stem}.{self.file_tag}.{suffix}'
      if stem
      else f'{dot}{suffix}.{self.file_tag}'
    )


WHOLE = Shard()  # all photographs


def parse(text: str) -> Shard:
  """Converts text such as '3/16' to a shard, and '' to all photographs.

  Raises:
    UserError: if the text is not of this form.
  """
  if not text:
    return WHOLE
  match = re.fullmatch(r'(\d{1,6})/(\d{1,6})', text)
  if not match or not 1 <= int(match[1]) <= int(match[2]):
    raise errors.UserError(
      f'--shard must be like 3/16 (the third of 16), got {text!r}.'
    )
  return Shard(int(match[1]), int(match[2]))


def journals(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
  """Returns the journals of all shards, the last written one last.

  Args:
    folder: folder of outputs.
    name: name of the journal in a run without a shard.
  """
  stem, _, suffix = name.rpartition('.')
  found = folder.glob(f'{stem}.*of*.{suffix}')
  return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def merge_journals(folder: pathlib.Path, journal: str, partial: str) -> None:
  """Appends the journals of all shards to the journal of the whole folder.

  Also deletes the shards' journals, lock files and folders of unfinished files.
  Finished outputs stay. The process must hold the lock of the whole folder. If
  it is killed meanwhile, the journal may have some entries twice, which is
  harmless.

  Args:
    folder: folder of outputs.
    journal: name of the journal in a run without a shard.
    partial: name of the folder for unfinished files in a run without a shard.
  """
  for path in journals(folder, journal):
    text = path.read_text(encoding='utf-8', errors='replace')
    with (folder / journal).open('a', encoding='utf-8') as file:
      with errors.with_file_name(file.name):
        # The line breaks end lines that a killed process left unfinished.
        file.write(f'\n{text}\n')
    path.unlink()
  for path in folder.glob(f'{partial}.*of*'):
    shutil.rmtree(path, ignore_errors=True)
  for path in folder.glob(f'{lock.LOCK_FILE}.*of*'):
    path.unlink(missing_ok=True)
