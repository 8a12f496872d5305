"""Jobs that colour folders: inputs, names of outputs, and journal."""

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

JOURNAL = '.pic_jax.jsonl'  # its existence marks a folder of outputs
PARTIAL = '.partial'  # folder of files that are being written
REPORT, CONTACT_SHEET = 'report.json', 'contact_sheet.html'


@dataclasses.dataclass(frozen=True)
class Job:
  """Inputs, output folder and settings of a job.

  Attributes:
    inputs: paths of photographs and of folders with photographs.
    output: path of the folder of outputs.
    settings: settings of the samples.
    file_options: options for reading and writing files.
    hints: path of a file of hints for the only photograph; None for no hints.
    shard: shard of the photographs that this run colours.
  """

  inputs: tuple[pathlib.Path, ...]
  output: pathlib.Path
  settings: options.Settings
  file_options: options.FileOptions = options.FileOptions()
  hints: pathlib.Path | None = None
  shard: shards.Shard = shards.WHOLE

  @property
  def journal(self) -> pathlib.Path:
    """Path of the journal of this run."""
    return self.output / self.shard.tagged_name(JOURNAL)

  @property
  def partial(self) -> pathlib.Path:
    """Path of the folder of files that this run has not finished."""
    return self.output / self.shard.tagged_name(PARTIAL)

  def targets(self, name: str) -> list[pathlib.Path]:
    """Returns the paths of a photograph's outputs in the output folder.

    Each is relative to that folder, and consists of the whole name of the
    photograph, a number and the format. So it does not depend on other
    photographs.
    """
    return [
      pathlib.Path(f'{name}.{number}.{self.file_options.format}')
      for number in self.settings.numbers
    ]


@dataclasses.dataclass(frozen=True)
class Found:
  """Files found in the inputs.

  Attributes:
    photographs: path and name of each photograph of this shard. The name is
      relative to the input folder, or the file's own name if the input is a
      file.
    left_out: paths of all other files.
    of_all_shards: path and name of each photograph of all shards.
  """

  photographs: list[tuple[pathlib.Path, str]]
  left_out: list[pathlib.Path]
  of_all_shards: list[tuple[pathlib.Path, str]]

  def left_out_text(self) -> str:
    """Counts `left_out` by suffix, such as '2 .heic (advice), 1 .txt'."""
    kinds = collections.Counter(path.suffix.lower() for path in self.left_out)
    return ', '.join(
      f'{count} {kind or "without a suffix"}'
      + (f' ({advice})' if (advice := image_files.REMEDIES.get(kind)) else '')
      for kind, count in sorted(kinds.items())
    )


@dataclasses.dataclass
class Result:
  """Result for one photograph, for journal, report and contact sheet.

  Attributes:
    file: name of the photograph, with which the names of its outputs begin.
    status: 'started', 'done', 'skipped' or 'failed'.
    reason: why the photograph failed or was skipped.
    height, width: size of the photograph in pixels.
    notes: notes for the user.
    made_with: everything that determines the outputs.
    samples: for each sample a dict of `file`, `bits_per_dim`, `clipped_share`
      and the measures of `color_statistics`.
    original: `bits_per_dim` and measures of the original colours; None if the
      photograph has no colours.
    difference: mean distance of two samples in (a, b), in Lab units.
    seconds: time that the photograph took.
    pictures: pictures on the contact sheet, see `contact_sheet.to_html`.
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
  """Finds the photographs of a job, in a fixed order.

  These are all inputs that are files, and the files in input folders that have
  the suffix of a photograph.

  Raises:
    UserError: if an input is missing, there are no photographs, two of them
      have the same name, or there are `hints` for more than one; or if the
      output is also an input, is not a folder, or holds files that no job wrote
      and this one would overwrite.
  """
  output = job.output
  if output.exists() and not output.is_dir():
    raise errors.UserError(
      f'{errors.in_one_line(output)} must be a folder (--output).'
    )
  _refuse_foreign_files(job)
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
    paths, other_files = _walk(source, output, job.file_options.recursive)
    photographs += [
      (path, path.relative_to(source).as_posix()) for path in paths
    ]
    left_out += other_files
  if not photographs:
    advice = (
      ''
      if job.file_options.recursive
      else '; use --recursive to search subfolders'
    )
    if left_out:
      advice += f'; left out: {Found([], left_out, []).left_out_text()}'
    raise errors.UserError(
      f'No photographs ({", ".join(image_files.suffixes())}) in '
      f'{", ".join(map(errors.in_one_line, job.inputs))}{advice}.'
    )
  if job.hints and len(photographs) > 1:
    raise errors.UserError(
      f'--hints are for one photograph, got {len(photographs)} photographs.'
    )
  _refuse_equal_names(photographs, str)
  in_shard = [(path, name) for path, name in photographs if job.shard.has(name)]
  return Found(in_shard, left_out, photographs)


def _refuse_foreign_files(job: Job) -> None:
  """Refuses an output folder with files that no job wrote.

  Only files that this job would overwrite count. A folder with a journal is
  accepted, because jobs wrote its files. With `overwrite`, a report and a
  contact sheet are also accepted.

  Raises:
    UserError: if there is such a file.
  """
  if (job.output / JOURNAL).exists():
    return
  names = [PARTIAL]
  if not job.file_options.overwrite:
    names += [REPORT, CONTACT_SHEET]
  for name in names:
    if os.path.lexists(job.output / name):
      raise errors.UserError(
        f'{errors.in_one_line(job.output / name)} exists and does not belong '
        'to this job: remove it, or choose another --output.'
      )


def _walk(
  source: pathlib.Path, output: pathlib.Path, recursive: bool
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
  """Lists the photographs and the other files of a folder.

  Subfolders are searched if `recursive` is True. Those that cannot be read
  count as other files. Hidden files, hidden subfolders and subfolders with
  outputs are ignored.
  """
  photographs, other_files = [], []
  for folder, subfolders, names in os.walk(source):
    here = pathlib.Path(folder)
    subfolders[:] = [
      name for name in subfolders if recursive and not name.startswith('.')
    ]
    for name in tuple(subfolders):
      try:
        has_outputs = (here / name / JOURNAL).exists()
        os.scandir(here / name).close()
      except OSError:
        terminal.say(f'{errors.in_one_line(here / name)} cannot be read.')
        other_files.append(here / name)
        subfolders.remove(name)
        continue
      if has_outputs or (output.exists() and output.samefile(here / name)):
        subfolders.remove(name)
    for name in names:
      if not name.startswith('.'):
        suffix = pathlib.Path(name).suffix.lower()
        is_photograph = suffix in image_files.suffixes()
        (photographs if is_photograph else other_files).append(here / name)
  return (
    sorted(photographs, key=os.fsencode),
    sorted(other_files, key=os.fsencode),
  )


def _refuse_equal_names(
  photographs: list[tuple[pathlib.Path, str]], key: Any
) -> None:
  """Refuses photographs whose names are equal after applying `key`.

  Raises:
    UserError: if there are such names; the text gives both paths.
  """
  path_by_name = {}
  for path, name in photographs:
    first = path_by_name.setdefault(key(name), path)
    if first is not path:
      raise errors.UserError(
        f'{errors.in_one_line(first)} and {errors.in_one_line(path)} would '
        'have outputs of the same name; use another --output for one of them.'
      )


def check_case(job: Job, found: Found) -> None:
  """Refuses names that differ only by case, if the disk ignores case.

  Raises:
    UserError: if there are such names; the text gives both paths.
  """
  with tempfile.NamedTemporaryFile(prefix='.case', dir=job.output) as file:
    path = pathlib.Path(file.name)
    if path.with_name(path.name.swapcase()).exists():
      _refuse_equal_names(found.of_all_shards, str.casefold)


def read_journal(output: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Reads the last entry of each photograph from all journals of a folder.

  Journals of shards are read last. They are newer than the journal of the whole
  folder, because `shards.merge_journals` moves older entries of shards to the
  latter.

  Returns:
    Entries, which are `Result`s as dicts, keyed by `file`.
  """
  entries = {}
  for path in (output / JOURNAL, *shards.journals(output, JOURNAL)):
    if not path.exists():
      continue
    # After a power failure, the last lines may contain anything.
    text = path.read_text(encoding='utf-8', errors='replace')
    for line in text.splitlines():
      try:
        entry = json.loads(line)
        name = entry['file']
      except (ValueError, TypeError, KeyError):
        continue  # half a line of a killed process, or not a journal entry
      entries[name] = earlier_versions.upgrade_journal_entry(entry)
  return entries
