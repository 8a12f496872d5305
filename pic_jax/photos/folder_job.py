"""Which photographs are colourised, under which names, and what was before."""

import collections
import dataclasses
import json
import os
import pathlib
from typing import Any

from pic_jax.images import image_files
from pic_jax.photos import network_size, options
from pic_jax.runtime import errors

JOURNAL = '.pic_jax.jsonl'


@dataclasses.dataclass(frozen=True)
class Job:
  """What to colourise, and where to.

  Attributes:
    source: a photograph or a folder.
    output: folder.
    settings: of the samples.
    suffix: '.png', '.jpg' or '.webp'.
    overwrite: whether existing outputs are made again.
    recursive: whether subfolders are looked into.
    max_pixels: a photograph with more is refused.
    batch_size: photographs drawn at once; 0: one for each device.
  """

  source: pathlib.Path
  output: pathlib.Path
  settings: options.Settings
  suffix: str = '.png'
  overwrite: bool = False
  recursive: bool = False
  max_pixels: int = image_files.MAX_PIXELS
  batch_size: int = 0


def from_flags(values: Any) -> Job:
  """The job that the flags of --mode=colorize describe.

  Raises:
    UserError: a flag is missing or impossible.
  """
  for name in ('input', 'output'):
    if not getattr(values, name):
      raise errors.UserError(f'--mode=colorize needs --{name}.')
  for name in ('max_pixels', 'batch_size'):
    if getattr(values, name) < 0:
      raise errors.UserError(
        f'--{name} must not be negative, got {getattr(values, name)}.'
      )
  names = [field.name for field in dataclasses.fields(options.Settings)]
  try:
    chosen = options.Settings(**{n: getattr(values, n) for n in names})
  except ValueError as error:
    raise errors.UserError(
      str(error).replace('`', '--', 1).replace('`', '', 1)
    ) from None
  return Job(
    source=pathlib.Path(values.input),
    output=pathlib.Path(values.output),
    settings=chosen,
    suffix=f'.{values.format}',
    overwrite=values.overwrite,
    recursive=values.recursive,
    max_pixels=values.max_pixels,
    batch_size=values.batch_size,
  )


@dataclasses.dataclass
class Task:
  """A photograph on its way.

  Attributes:
    path: of the file.
    stem: of its outputs, relative to the output folder.
    entry: its line of the report.
    photograph, grey: once they are read.
    start: when that began, seconds.
  """

  path: pathlib.Path
  stem: pathlib.Path
  entry: dict[str, Any]
  photograph: image_files.Photograph | None = None
  grey: network_size.Grey | None = None
  start: float = 0.0


def shown(path: str | os.PathLike) -> str:
  """A path on one line, whatever bytes it has."""
  text = os.fsencode(path).decode('utf-8', 'backslashreplace')
  return ''.join(
    c if c.isprintable() else c.encode('unicode_escape').decode() for c in text
  )


def find_files(job: Job) -> list[pathlib.Path]:
  """Files with the suffix of a photograph, in a fixed order.

  Raises:
    UserError: nothing there, or the output would be among the inputs.
  """
  source, output = job.source, job.output
  if not os.path.lexists(source):
    raise errors.UserError(f'--input={shown(source)}: no such file or folder.')
  if output.exists() and not output.is_dir():
    raise errors.UserError(f'--output={shown(output)} must be a folder.')
  if not source.is_dir():
    return [source]
  if output.exists() and output.samefile(source):
    raise errors.UserError('--output must not be the folder of --input.')
  found = []
  for folder, subfolders, names in os.walk(source):
    here = pathlib.Path(folder)
    if not job.recursive:
      subfolders.clear()
    subfolders[:] = [
      name
      for name in subfolders
      if not name.startswith('.')
      and not (output.exists() and (here / name).samefile(output))
    ]
    found += [
      here / name
      for name in names
      if not name.startswith('.')
      and pathlib.Path(name).suffix.lower() in image_files.SUFFIXES
    ]
  if not found:
    hint = '' if job.recursive else '; --recursive looks into subfolders'
    raise errors.UserError(
      f'--input={shown(source)} has no photographs '
      f'({", ".join(image_files.SUFFIXES)}{hint}).'
    )
  return sorted(found, key=os.fsencode)


def make_tasks(job: Job, files: list[pathlib.Path]) -> list[Task]:
  """Names of outputs: the stem, or the whole name where stems are equal."""
  root = job.source if job.source.is_dir() else job.source.parent
  relative = [path.relative_to(root) for path in files]
  counts = collections.Counter(path.with_suffix('') for path in relative)
  return [
    Task(
      path=path,
      stem=name if counts[name.with_suffix('')] > 1 else name.with_suffix(''),
      entry={'file': str(name)},
    )
    for path, name in zip(files, relative, strict=True)
  ]


def read_journal(output: pathlib.Path) -> dict[str, dict[str, Any]]:
  """The last entry of every file."""
  path = output / JOURNAL
  entries = {}
  for line in path.read_text().splitlines() if path.exists() else []:
    try:
      entry = json.loads(line)
    except ValueError:
      continue  # cut off when the process was killed
    entries[entry['file']] = entry
  return entries
