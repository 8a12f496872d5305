"""Colours photographs into a folder: outputs, journal, report, page.

Every output appears whole or not at all. A journal beside the outputs records
the settings of each, so that a second run makes only missing outputs and never
overwrites other files.
"""

import collections
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

MAX_NAME_BYTES = 255


@dataclasses.dataclass
class _Task:
  """A photograph that is waiting to be coloured."""

  result: folder_job.Result
  photograph: image_files.Photograph
  network_input: network_size.NetworkInput
  start: float


class FolderRun:
  """State shared by all photographs of a run."""

  def __init__(
    self,
    job: folder_job.Job,
    colorizer: colorize.Colorizer,
    journal: TextIO,
    *,
    total: int,
  ):
    self.job, self.colorizer = job, colorizer
    complete = colorizer.complete(job.settings)
    self.settings, self.adjustments = complete, complete.adjustments
    settings = dataclasses.asdict(complete)
    # As JSON has it. Unused settings are left out, as in earlier versions.
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
    self.before = folder_job.read_journal(job.output)
    self._journal = journal
    self._start = time.perf_counter()
    self.num_seen, self._total = 0, total

  def log(self, result: folder_job.Result) -> None:
    with errors.naming(self._journal.name):
      self._journal.write(json.dumps(dataclasses.asdict(result)) + '\n')
      self._journal.flush()

  def say(self, result: folder_job.Result, text: str) -> None:
    self.num_seen += 1
    elapsed = time.perf_counter() - self._start
    left = elapsed / self.num_seen * (self._total - self.num_seen)
    terminal.say(
      f'{self.num_seen}/{self._total} {errors.in_one_line(result.file)}: '
      f'{text}, ETA {terminal.format_duration(left)}'
    )

  def made_before(self, result: folder_job.Result) -> dict[str, Any]:
    """The journal entry of existing outputs; empty after a failure."""
    before = self.before.get(result.file, {})
    return before if before.get('status') in ('started', 'done') else {}

  def fail(self, result: folder_job.Result, reason: str) -> None:
    result.status, result.reason = 'failed', reason
    if not self.made_before(result):
      self.log(result)
    self.say(result, f'failed: {errors.in_one_line(reason)}')


def run(
  job: folder_job.Job,
  found: folder_job.Found,
  colorizer: colorize.Colorizer,
) -> dict[str, Any]:
  """Colours the photographs of a job.

  Returns:
    The report: `settings`, `left_out`, and `files`, a `Result` each.

  Raises:
    UserError: two photographs have the same name on this disk.
    RunError: another process writes to the folder.
    Stopped: Ctrl-C; what is finished stays.
  """
  output = job.output
  output.mkdir(parents=True, exist_ok=True)
  with (
    lock.hold(output, job.shard.part),
    job.journal.open('a', encoding='utf-8') as journal,
  ):
    (output / folder_job.JOURNAL).touch()  # marks a folder of outputs
    if not job.shard.part:
      shards.take_over(output, folder_job.JOURNAL, folder_job.PARTIAL)
    folder_job.check_case(job, found)
    shutil.rmtree(job.partial, ignore_errors=True)
    job.partial.mkdir()
    journal.write('\n')  # ends a line that was cut off
    state = FolderRun(job, colorizer, journal, total=len(found.photographs))
    if found.left_out:
      terminal.say(f'Left out: {found.left_out_text()}.')
    try:
      files = _colour_all(state, found.photographs)
    except KeyboardInterrupt:
      raise errors.Stopped(
        signal.SIGINT,
        f'{state.num_seen} of {len(found.photographs)} are finished; run the '
        'same command again to go on.',
      ) from None
    shutil.rmtree(job.partial)
  report = {
    'settings': state.made_with,
    'left_out': [str(path) for path in found.left_out],
    'files': [dataclasses.asdict(result) for result in files],
  }
  if job.shard.part:  # the whole reports, when all are done
    return report
  whole_file.write_text(
    output / folder_job.REPORT, json.dumps(report, indent=2) + '\n'
  )
  entries = folder_job.read_journal(output)
  page = contact_sheet.to_html([entries[name] for name in sorted(entries)])
  whole_file.write_text(output / folder_job.PAGE, page)
  return report


def _colour_all(
  run: FolderRun, photographs: list[tuple[pathlib.Path, str]]
) -> list[folder_job.Result]:
  """Colours photographs in groups of one shape, one for each device."""
  found = []
  waiting = collections.defaultdict(list)
  for path, name in photographs:
    found.append(folder_job.Result(name))
    task = _open(run, path, found[-1])
    if task is None:
      continue
    group = waiting[task.network_input.grey_values.shape]
    group.append(task)
    if len(group) == jax.local_device_count():
      _colour(run, group)
      group.clear()
  for group in waiting.values():
    _colour(run, group)
  return found


def _open(
  run: FolderRun, path: pathlib.Path, result: folder_job.Result
) -> _Task | None:
  """Reads a photograph; None if nothing is left to do for it."""
  start = time.perf_counter()
  try:
    photograph = image_files.load_photograph(path)
  except errors.RunError as error:
    run.fail(result, str(error))
    return None
  rgb = photograph.rgb
  digest = hashlib.sha256(repr(rgb.shape).encode())
  digest.update(np.ascontiguousarray(rgb).data)
  if photograph.alpha is not None:
    digest.update(photograph.alpha.data)
  result.height, result.width = rgb.shape[:2]
  result.notes = list(photograph.notes)
  result.made_with = run.made_with | {'photograph': digest.hexdigest()}
  if not _may_be_made(run, result):
    return None
  network_input = run.colorizer.to_network_size(rgb, photograph.alpha)
  if run.job.hints:
    network_input = run.colorizer.add_hints(
      network_input,
      run.job.hints,
      saturation=run.colorizer.hint_saturation(run.settings),
    )
    result.notes += network_input.hint_notes
  if network_input.is_toned:
    result.notes.append('toned: its one tone is left out')
  if network_input.chroma is not None and run.job.file_options.skip_colour:
    result.status, result.reason = 'skipped', 'has colours of its own'
    run.say(result, result.reason)
    return None
  return _Task(result, photograph, network_input, start)


def _may_be_made(run: FolderRun, result: folder_job.Result) -> bool:
  """False for existing outputs, and for names that are taken."""
  before = run.made_before(result)
  is_ours = before.get('made_with') == result.made_with
  targets, file_options = run.job.targets(result.file), run.job.file_options
  side = encoding.MAX_SIDES.get(file_options.format, np.inf)
  if max(result.height, result.width) > side:
    run.fail(result, f'more than {side} pixels a side: --format png.')
    return False
  if max(len(os.fsencode(path.name)) for path in targets) > MAX_NAME_BYTES:
    run.fail(result, 'its name is too long for a name of an output.')
    return False
  existing = [
    path for path in targets if os.path.lexists(run.job.output / path)
  ]
  if existing and not is_ours and not file_options.overwrite:
    run.fail(
      result,
      f'{errors.in_one_line(run.job.output / existing[0])} exists and '
      f'{_difference(before, result)}: '
      '--overwrite, or choose another --output.',
    )
    return False
  is_done = (
    is_ours and before['status'] == 'done' and not file_options.overwrite
  )
  if is_done and len(existing) == len(targets):
    for name, value in before.items():
      setattr(result, name, value)
    result.status = 'skipped'
    run.say(result, 'is there already')
    return False
  return True


def _difference(before: dict[str, Any], result: folder_job.Result) -> str:
  """Says why existing outputs are not those of this run.

  Args:
    before: the journal entry of the outputs; empty if there is none.
    result: of this run.
  """
  if not before:
    return 'does not belong to this job'
  weights = before.get('made_with', {}).get('checkpoint')
  if weights == result.made_with['checkpoint']:
    return 'was made with other settings'
  return (
    f'was made by other weights (digest {str(weights)[:12]}; of an earlier '
    'version of the model, if you changed nothing: --model takes a file)'
  )


def _colour(run: FolderRun, group: list[_Task]) -> None:
  """Draws for photographs of one shape, and writes their outputs."""
  if not group:
    return
  inputs = [task.network_input for task in group]
  sample_sets = run.colorizer.draw(inputs, run.settings)
  originals = run.colorizer.score_originals(inputs)
  for task, sample_set, bits in zip(group, sample_sets, originals, strict=True):
    if run.job.file_options.overwrite:
      # Before the journal entry: after a kill it must not describe old files.
      for target in run.job.targets(task.result.file):
        (run.job.output / target).unlink(missing_ok=True)
    run.log(
      task.result
    )  # 'started': after a kill its files can be told from foreign ones
    try:
      _finish(run, task, sample_set, original_bits=drawn_samples.finite(bits))
    except image_files.EncodingError as error:
      run.fail(task.result, str(error))


def _finish(
  run: FolderRun,
  task: _Task,
  sample_set: drawn_samples.SampleSet,
  *,
  original_bits: float | None,
) -> None:
  """Writes the outputs of one photograph."""
  result, photograph, output = task.result, task.photograph, run.job.output
  pictures = []

  def show(name: str, rgb: np.ndarray, caption: str, *, file: str = '') -> None:
    seen = to_srgb.over_white(rgb, photograph.alpha)
    pictures.append(
      contact_sheet.picture(output, name, seen, caption=caption)
      | {'file': file}
    )

  show(
    f'{result.file} grey', network_size.grey_picture(task.network_input), 'grey'
  )
  for index, target in enumerate(run.job.targets(result.file)):
    rgb, clipped = run.colorizer.render(
      task.network_input, sample_set.chroma[index], run.adjustments
    )
    bits = drawn_samples.finite(sample_set.bits_per_dim[index])
    _save(output / target, rgb, photograph, job=run.job)
    show(
      str(target),
      rgb,
      drawn_samples.bits_text([bits]) or 'sample',
      file=str(target),
    )
    result.samples.append(
      {'file': str(target), 'bits_per_dim': bits, 'clipped_share': clipped}
      | color_statistics.measure_photograph(rgb)
    )
  if task.network_input.chroma is not None:
    result.original = {'bits_per_dim': original_bits}
    result.original |= color_statistics.measure_photograph(photograph.rgb)
    caption = drawn_samples.bits_text([original_bits])
    caption = ', '.join(filter(None, ['original', caption]))
    show(f'{result.file} original', photograph.rgb, caption)
  result.status, result.pictures = 'done', pictures
  result.difference = sample_set.difference
  result.seconds = time.perf_counter() - task.start
  run.log(result)
  facts = [
    f'{result.width} x {result.height}',
    f'{len(result.samples)} samples',
    drawn_samples.bits_text(
      [sample['bits_per_dim'] for sample in result.samples]
    ),
    *result.notes,
  ]
  run.say(result, ', '.join(filter(None, facts)))


def _save(
  path: pathlib.Path,
  rgb: np.ndarray,
  photograph: image_files.Photograph,
  *,
  job: folder_job.Job,
) -> None:
  """Writes one output, unless it is there."""
  if os.path.lexists(path):
    return
  temporary = job.partial / f'output.{job.file_options.format}'
  image_files.save_image(
    temporary, rgb, photograph.alpha, about=photograph.metadata
  )
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary.replace(path)
