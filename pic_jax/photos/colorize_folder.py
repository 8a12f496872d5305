"""Colourisation of photographs into a folder, with report and contact sheet.

Every output appears whole or not at all. A journal in the folder records the
settings of each output, so a second run makes only missing outputs and never
overwrites other files.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import time
from typing import Any, TextIO

import jax
import numpy as np

from pic_jax.images import color_statistics, encoding, image_files, to_srgb
from pic_jax.photos import (
  adjustments,
  colorize,
  contact_sheet,
  drawn_samples,
  folder_job,
  hint_files,
  network_size,
  shards,
)
from pic_jax.runtime import errors, lock, terminal, whole_file

MAX_NAME_BYTES = 255  # of one file name; the limit of most file systems


@dataclasses.dataclass
class _Task:
  """A photograph that is waiting to be coloured.

  Attributes:
    result: the result so far.
    photograph: the decoded file.
    network_input: the photograph, prepared for the network.
    start: `time.perf_counter()` when the file was opened, in seconds.
  """

  result: folder_job.Result
  photograph: image_files.Photograph
  network_input: network_size.NetworkInput
  start: float


class FolderRun:
  """State shared by all photographs of a run.

  Attributes:
    job: the job.
    colorizer: the model.
    settings: settings of the samples, completed with the recommended values of
      the model.
    adjustments: adjustments of the coloured photographs.
    made_with: everything that determines the outputs, except the photographs.
    journal_entries: last entry of each photograph in the journals of earlier
      runs, keyed by name.
    num_seen: number of photographs that are done, skipped or failed.
  """

  def __init__(
    self,
    job: folder_job.Job,
    colorizer: colorize.Colorizer,
    journal: TextIO,
    *,
    num_photographs: int,
  ):
    """Prepares the state.

    Args:
      job: the job.
      colorizer: the model.
      journal: journal of this run, open for appending.
      num_photographs: number of photographs that this run has to go through.
    """
    self.job, self.colorizer = job, colorizer
    complete = colorizer.complete(job.settings)
    self.settings, self.adjustments = complete, complete.adjustments
    settings = dataclasses.asdict(complete)
    # `made_with` is compared with entries of journals, some of which earlier
    # versions wrote. JSON stores the tuple `samples` as a list. Settings that
    # early versions did not have are left out if they have no effect.
    samples = settings.pop('samples')
    settings |= {'samples': list(samples)} if samples else {}
    if not settings['guidance']:
      del settings['guidance']
    for name in ('warmth', 'tint', 'strength'):
      if settings[name] == getattr(adjustments.Adjustments, name):
        del settings[name]
    self.made_with = settings | {
      'format': job.file_options.format,
      'checkpoint': colorizer.digest,
    }
    if job.hints:
      self.made_with['hints'] = hint_files.digest(job.hints)
    self.journal_entries = folder_job.read_journal(job.output)
    self._journal = journal
    self._start = time.perf_counter()
    self.num_seen, self._num_photographs = 0, num_photographs

  def log(self, result: folder_job.Result) -> None:
    """Writes a result to the journal."""
    with errors.with_file_name(self._journal.name):
      self._journal.write(json.dumps(dataclasses.asdict(result)) + '\n')
      self._journal.flush()

  def say(self, result: folder_job.Result, text: str) -> None:
    """Prints the outcome for one photograph, and counts the photograph."""
    self.num_seen += 1
    num_left = self._num_photographs - self.num_seen
    seconds_each = (time.perf_counter() - self._start) / self.num_seen
    terminal.say(
      f'{self.num_seen}/{self._num_photographs} '
      f'{errors.in_one_line(result.file)}: {text}, '
      f'ETA {terminal.format_duration(seconds_each * num_left)}'
    )

  def earlier_entry(self, result: folder_job.Result) -> dict[str, Any]:
    """Returns the journal entry of earlier outputs; {} if there is none."""
    entry = self.journal_entries.get(result.file, {})
    return entry if entry.get('status') in ('started', 'done') else {}

  def fail(self, result: folder_job.Result, reason: str) -> None:
    """Reports that a photograph failed.

    If there are earlier outputs, the failure is not written to the journal,
    where it would replace their entry.
    """
    result.status, result.reason = 'failed', reason
    if not self.earlier_entry(result):
      self.log(result)
    self.say(result, f'failed: {errors.in_one_line(reason)}')


def run(
  job: folder_job.Job, found: folder_job.Found, colorizer: colorize.Colorizer
) -> dict[str, Any]:
  """Colours the photographs of a job.

  Args:
    job: the job.
    found: files found in the job's inputs.
    colorizer: the model.

  Returns:
    The report: `settings`, `left_out` (paths), and `files` (a `Result` for each
    photograph, as a dict).

  Raises:
    UserError: if names differ only by case, and the output disk ignores case.
    RunError: if another process writes to the folder.
    Stopped: if the user pressed Ctrl-C; finished outputs remain.
  """
  output = job.output
  output.mkdir(parents=True, exist_ok=True)
  with (
    lock.hold(output, job.shard.file_tag),
    job.journal.open('a', encoding='utf-8') as journal,
  ):
    # This file marks a folder of outputs, even if shards have other journals.
    (output / folder_job.JOURNAL).touch()
    if not job.shard.file_tag:
      shards.merge_journals(output, folder_job.JOURNAL, folder_job.PARTIAL)
    folder_job.check_case(job, found)
    shutil.rmtree(job.partial, ignore_errors=True)
    job.partial.mkdir()
    journal.write('\n')  # in case a killed process left half a line
    num_photographs = len(found.photographs)
    state = FolderRun(job, colorizer, journal, num_photographs=num_photographs)
    if found.left_out:
      terminal.say(f'Left out: {found.left_out_text()}.')
    try:
      files = _colour_all(state, found.photographs)
    except KeyboardInterrupt:
      raise errors.Stopped(
        signal.SIGINT,
        f'{state.num_seen} of {num_photographs} photographs are finished; run '
        'the same command again to continue.',
      ) from None
    shutil.rmtree(job.partial)
  report = {
    'settings': state.made_with,
    'left_out': [str(path) for path in found.left_out],
    'files': [dataclasses.asdict(result) for result in files],
  }
  if job.shard.file_tag:  # a later run without a shard writes the report
    return report
  whole_file.write_text(
    output / folder_job.REPORT, json.dumps(report, indent=2) + '\n'
  )
  entries = folder_job.read_journal(output)
  sheet = contact_sheet.to_html([entries[name] for name in sorted(entries)])
  whole_file.write_text(output / folder_job.CONTACT_SHEET, sheet)
  return report


def _colour_all(
  state: FolderRun, photographs: list[tuple[pathlib.Path, str]]
) -> list[folder_job.Result]:
  """Colours photographs in groups, one photograph per device.

  The photographs of a group have the same shape at the network's size.

  Args:
    state: state of the run.
    photographs: path and name of each photograph.

  Returns:
    The results, in the order of `photographs`.
  """
  results = []
  waiting = collections.defaultdict(list)
  for path, name in photographs:
    results.append(folder_job.Result(name))
    task = _open(state, path, results[-1])
    if task is None:
      continue
    group = waiting[task.network_input.grey_values.shape]
    group.append(task)
    if len(group) == jax.local_device_count():
      _colour(state, group)
      group.clear()
  for group in waiting.values():
    _colour(state, group)
  return results


def _open(
  state: FolderRun, path: pathlib.Path, result: folder_job.Result
) -> _Task | None:
  """Reads a photograph, and fills in its result.

  Returns:
    The task; None if the photograph failed or is skipped.
  """
  start = time.perf_counter()
  try:
    photograph = image_files.load_photograph(path)
  except errors.RunError as error:
    state.fail(result, str(error))
    return None
  rgb = photograph.rgb
  digest = hashlib.sha256(repr(rgb.shape).encode())
  digest.update(np.ascontiguousarray(rgb).data)
  if photograph.alpha is not None:
    digest.update(photograph.alpha.data)
  result.height, result.width = rgb.shape[:2]
  result.notes = list(photograph.notes)
  result.made_with = state.made_with | {'photograph': digest.hexdigest()}
  if not _should_colour(state, result):
    return None
  network_input = state.colorizer.to_network_size(rgb, photograph.alpha)
  if state.job.hints:
    network_input = state.colorizer.add_hints(
      network_input,
      state.job.hints,
      saturation=state.colorizer.hint_saturation(state.settings),
    )
    result.notes += network_input.hint_notes
  if network_input.is_toned:
    result.notes.append('toned; its tone is ignored')
  if network_input.chroma is not None and state.job.file_options.skip_colour:
    result.status, result.reason = 'skipped', 'is a colour photograph'
    state.say(result, result.reason)
    return None
  return _Task(result, photograph, network_input, start)


def _should_colour(state: FolderRun, result: folder_job.Result) -> bool:
  """Tests whether a photograph has to be coloured.

  If not, its result becomes 'skipped' or 'failed', and is reported. Empty
  outputs of the same job are deleted, so they count as missing.
  """
  earlier = state.earlier_entry(result)
  is_same_job = earlier.get('made_with') == result.made_with
  targets, file_options = state.job.targets(result.file), state.job.file_options
  max_side = encoding.MAX_SIDES.get(file_options.format, np.inf)
  if max(result.height, result.width) > max_side:
    state.fail(
      result, f'a side has more than {max_side} pixels; use --format png.'
    )
    return False
  if max(len(os.fsencode(path.name)) for path in targets) > MAX_NAME_BYTES:
    state.fail(result, 'its name is too long for the names of outputs.')
    return False
  if is_same_job:
    for path in targets:
      _remove_empty(state.job.output / path)
  existing = [
    path for path in targets if os.path.lexists(state.job.output / path)
  ]
  if existing and not is_same_job and not file_options.overwrite:
    state.fail(
      result,
      f'{errors.in_one_line(state.job.output / existing[0])} exists and '
      f'{_difference(earlier, result)}; '
      'use --overwrite, or choose another --output.',
    )
    return False
  is_done = (
    is_same_job and earlier['status'] == 'done' and not file_options.overwrite
  )
  if is_done and len(existing) == len(targets):
    for name, value in earlier.items():
      setattr(result, name, value)
    result.status = 'skipped'
    state.say(result, 'its outputs exist already')
    return False
  return True


def _remove_empty(path: pathlib.Path) -> None:
  """Removes an output without contents, which a power failure may leave."""
  with contextlib.suppress(OSError):
    if path.is_file() and not path.stat().st_size:
      path.unlink()


def _difference(earlier: dict[str, Any], result: folder_job.Result) -> str:
  """Says how an existing output differs from the outputs of this run.

  Args:
    earlier: journal entry of the existing output; {} if there is none.
    result: result of this run.

  Returns:
    The rest of a sentence whose subject is the existing output.
  """
  if not earlier:
    return 'does not belong to this job'
  digest = earlier.get('made_with', {}).get('checkpoint')
  if digest == result.made_with['checkpoint']:
    return 'was made with other settings'
  return (
    f'was made with other weights (digest {str(digest)[:12]}; if you changed '
    'nothing, they belong to an earlier version of the model, whose file you '
    'can give to --model)'
  )


def _colour(state: FolderRun, group: list[_Task]) -> None:
  """Colours one group of `_colour_all`, and writes the outputs."""
  if not group:
    return
  inputs = [task.network_input for task in group]
  sample_sets = state.colorizer.draw(inputs, state.settings)
  original_bits = state.colorizer.score_originals(inputs)
  for task, sample_set, bits in zip(
    group, sample_sets, original_bits, strict=True
  ):
    if state.job.file_options.overwrite:
      # Old outputs are removed before the new entry is written. Otherwise, if
      # the process were killed in between, the entry would describe old files.
      for target in state.job.targets(task.result.file):
        (state.job.output / target).unlink(missing_ok=True)
    # The entry has the status 'started'. If the process is killed later, the
    # next run knows that the files belong to this job.
    state.log(task.result)
    try:
      _finish(state, task, sample_set, original_bits=drawn_samples.finite(bits))
    except image_files.EncodingError as error:
      state.fail(task.result, str(error))


def _finish(
  state: FolderRun,
  task: _Task,
  sample_set: drawn_samples.SampleSet,
  *,
  original_bits: float | None,
) -> None:
  """Writes the outputs of one photograph, and completes its result.

  Args:
    state: state of the run.
    task: the photograph.
    sample_set: samples of the photograph.
    original_bits: bits/dim of the original chroma; None if the photograph has
      no colours, or the model has no likelihood.
  """
  result, photograph, output = task.result, task.photograph, state.job.output
  pictures = []

  def show(name: str, rgb: np.ndarray, caption: str, *, file: str = '') -> None:
    """Adds a picture to those of the contact sheet."""
    on_white = to_srgb.over_white(rgb, photograph.alpha)
    pictures.append(
      contact_sheet.picture(output, name, on_white, caption=caption)
      | {'file': file}
    )

  show(
    f'{result.file} grey', network_size.grey_picture(task.network_input), 'grey'
  )
  for index, target in enumerate(state.job.targets(result.file)):
    rgb, clipped_share = state.colorizer.render(
      task.network_input, sample_set.chroma[index], state.adjustments
    )
    bits = drawn_samples.finite(sample_set.bits_per_dim[index])
    _save(output / target, rgb, photograph, job=state.job)
    caption = drawn_samples.bits_text([bits]) or 'sample'
    show(str(target), rgb, caption, file=str(target))
    result.samples.append(
      {
        'file': str(target),
        'bits_per_dim': bits,
        'clipped_share': clipped_share,
      }
      | color_statistics.measure_photograph(rgb)
    )
  if task.network_input.chroma is not None:
    result.original = {'bits_per_dim': original_bits}
    result.original |= color_statistics.measure_photograph(photograph.rgb)
    captions = ['original', drawn_samples.bits_text([original_bits])]
    caption = ', '.join(filter(None, captions))
    show(f'{result.file} original', photograph.rgb, caption)
  result.status, result.pictures = 'done', pictures
  result.difference = sample_set.difference
  result.seconds = time.perf_counter() - task.start
  state.log(result)
  state.say(result, _summary(result))


def _summary(result: folder_job.Result) -> str:
  """Describes a finished photograph in one line."""
  bits = [sample['bits_per_dim'] for sample in result.samples]
  facts = [
    f'{result.width} x {result.height}',
    f'{len(result.samples)} samples',
    drawn_samples.bits_text(bits),
    *result.notes,
  ]
  return ', '.join(filter(None, facts))


def _save(
  path: pathlib.Path,
  rgb: np.ndarray,
  photograph: image_files.Photograph,
  *,
  job: folder_job.Job,
) -> None:
  """Writes one output, unless the file exists."""
  if os.path.lexists(path):
    return
  temporary = job.partial / f'output.{job.file_options.format}'
  image_files.save_image(
    temporary, rgb, photograph.alpha, about=photograph.metadata
  )
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary.replace(path)
