"""Jobs: photographs, names of outputs, and the journal of earlier runs."""

import collections
import dataclasses
import json
import os
import pathlib
import tempfile
from typing import Any

from pic_jax.images import image_files
from pic_jax.photos import options, shards
from pic_jax.runtime import errors, terminal
from pic_jax.saved import earlier_versions

JOURNAL = '.pic_jax.jsonl'  # marks a folder of outputs, too
PARTIAL = '.partial'  # folder of files that are being written
REPORT, PAGE = 'report.json', 'contact_sheet.html'


@dataclasses.dataclass(frozen=True)
class Job:
  """Inputs, output folder and settings of a job.

  Attributes:
    inputs: photographs and folders.
    output: folder.
    settings: of the samples.
    file_options: formats, folders, what may be overwritten.
    hints: file of hints for the one photograph; None for none.
    shard: which of the photographs.
  """

  inputs: tuple[pathlib.Path, ...]
  output: pathlib.Path
  settings: options.Settings
  file_options: options.FileOptions = options.FileOptions()
  hints: pathlib.Path | None = None
  shard: shards.Shard = shards.WHOLE

  @property
  def journal(self) -> pathlib.Path:
    """Where this run writes what it has made."""
    return self.output / self.shard.rename(JOURNAL)

  @property
  def partial(self) -> pathlib.Path:
    """Folder of files that this run has not finished."""
    return self.output / self.shard.rename(PARTIAL)

  def targets(self, name: str) -> list[pathlib.Path]:
    """Outputs of a photograph, relative to the output folder.

    The whole name of the input, a number and a format: it depends on no
    neighbour.
    """
    return [
      pathlib.Path(f'{name}.{index}.{self.file_options.format}')
      for index in self.settings.numbers
    ]


@dataclasses.dataclass(frozen=True)
class Found:
  """Files found in the inputs.

  Attributes:
    photographs: path of each, and its name: inside its folder, or alone.
    left_out: all other files.
  """

  photographs: list[tuple[pathlib.Path, str]]
  left_out: list[pathlib.Path]

  def left_out_text(self) -> str:
    """'2 .heic (pip install pillow-heif reads them), 1 .txt'."""
    kinds = collections.Counter(path.suffix.lower() for path in self.left_out)
    return ', '.join(
      f'{count} {kind or "without a suffix"}'
      + (f' ({hint})' if (hint := image_files.REMEDIES.get(kind)) else '')
      for kind, count in sorted(kinds.items())
    )


@dataclasses.dataclass
class Result:
  """A photograph: its line in the journal, row of the report, part of the page.

  Attributes:
    file: its name, which names its outputs, too.
    status: 'started', 'done', 'skipped' (it is there already) or 'failed'.
    reason: why it failed.
    height, width: pixels.
    notes: notes for the user.
    made_with: everything that determines the outputs.
    samples: of each `file`, `bits_per_dim`, `clipped_share`, measures.
    original: the same of a colour photograph's own colours.
    difference: mean distance of two samples in (a, b), Lab units.
    seconds: that it took.
    pictures: of the page, see `contact_sheet.to_html`.
  """

  file: str
  status: str = 'started'
  reason: str = ''
  height: int = 0
  width: int = 0
  notes: list[str] = dataclasses.field(default_factory=list)
  made_with: dict[str, Any] = dataclasses.field(default_factory=dict)
  samples: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  original: dict[str, Any] | None = None
  difference: float = 0.0
  seconds: float = 0.0
  pictures: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def find(job: Job) -> Found:
  """Finds files with the suffix of a photograph, in a fixed order.

  Raises:
    UserError: nothing there, two of one name, the output is an input, or it
      holds files of others under names that a job needs.
  """
  output = job.output
  if output.exists() and not output.is_dir():
    raise errors.UserError(
      f'{errors.in_one_line(output)} must be a folder (--output).'
    )
  _refuse_files_of_others(job)
  photographs, left_out = [], []
  for source in job.inputs:
    if not os.path.lexists(source):
      raise errors.UserError(
        f'{errors.in_one_line(source)}: no such file or folder.'
      )
    if not source.is_dir():
      photographs.append((source, source.name))
      continue
    if output.exists() and output.samefile(source):
      raise errors.UserError(
        f'{errors.in_one_line(output)} is both input and output: choose '
        'another --output.'
      )
    inside, others = _walk(source, output, job.file_options.recursive)
    photographs += [
      (path, path.relative_to(source).as_posix()) for path in inside
    ]
    left_out += others
  if not photographs:
    hint = (
      ''
      if job.file_options.recursive
      else '; --recursive looks into subfolders'
    )
    if left_out:
      hint += f'; left out: {Found([], left_out).left_out_text()}'
    raise errors.UserError(
      f'No photographs ({", ".join(image_files.suffixes())}) in '
      f'{", ".join(map(errors.in_one_line, job.inputs))}{hint}.'
    )
  if job.hints and len(photographs) > 1:
    raise errors.UserError(
      f'--hints belong to one photograph, got {len(photographs)}.'
    )
  _refuse_equal_names(photographs, str)
  own = [(path, name) for path, name in photographs if job.shard.has(name)]
  return Found(own, left_out)


def _refuse_files_of_others(job: Job) -> None:
  """Refuses a folder without a journal that holds files of these names."""
  if (job.output / JOURNAL).exists():
    return
  names = (PARTIAL, REPORT, PAGE)
  for name in names[: 1 if job.file_options.overwrite else None]:
    if os.path.lexists(job.output / name):
      raise errors.UserError(
        f'{errors.in_one_line(job.output / name)} exists and does not belong '
        'to this job: remove it, or choose another --output.'
      )


def _walk(
  source: pathlib.Path, output: pathlib.Path, recursive: bool
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
  """Lists photographs of a folder, and other or unreadable files."""
  photographs, others = [], []
  for folder, subfolders, names in os.walk(source):
    here = pathlib.Path(folder)
    subfolders[:] = [
      name for name in subfolders if recursive and not name.startswith('.')
    ]
    for name in tuple(subfolders):
      try:
        is_of_a_job = (here / name / JOURNAL).exists()
        os.scandir(here / name).close()
      except OSError:
        terminal.say(f'{errors.in_one_line(here / name)} may not be read.')
        others.append(here / name)
        subfolders.remove(name)
        continue
      if is_of_a_job or (output.exists() and output.samefile(here / name)):
        subfolders.remove(name)
    for name in names:
      if not name.startswith('.'):
        suffix = pathlib.Path(name).suffix.lower()
        is_photograph = suffix in image_files.suffixes()
        (photographs if is_photograph else others).append(here / name)
  return sorted(photographs, key=os.fsencode), sorted(others, key=os.fsencode)


def _refuse_equal_names(
  photographs: list[tuple[pathlib.Path, str]], key: Any
) -> None:
  seen = {}
  for path, name in photographs:
    first = seen.setdefault(key(name), path)
    if first is not path:
      raise errors.UserError(
        f'{errors.in_one_line(first)} and {errors.in_one_line(path)} would '
        'have outputs of the same name: colour them into two --output folders.'
      )


def check_case(job: Job, found: Found) -> None:
  """Refuses names that are one name on the disk of the outputs.

  Raises:
    UserError: names both.
  """
  with tempfile.NamedTemporaryFile(prefix='.case', dir=job.output) as file:
    other = pathlib.Path(file.name)
    if other.with_name(other.name.swapcase()).exists():
      _refuse_equal_names(found.photographs, str.casefold)


def read_journal(output: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Reads the last entry of every file.

  Entries of shards are newer than those of the whole, which takes them over.
  """
  entries = {}
  for path in (output / JOURNAL, *shards.journals(output, JOURNAL)):
    if not path.exists():
      continue
    for line in path.read_text(encoding='utf-8').splitlines():
      try:
        entry = json.loads(line)
        name = entry['file']
      except (ValueError, TypeError, KeyError):
        continue  # cut off by a kill, or written by another program
      entries[name] = earlier_versions.journal_entry(entry)
  return entries
