"""Colourises the photographs of a folder: outputs, journal, report, page.

Every output appears whole or not at all. A journal beside the outputs says
what was made with which settings, so that a second run makes only what is
missing and never overwrites anything else.
"""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from pic_jax.evaluation import metrics
from pic_jax.images import color, image_files
from pic_jax.photos import colorize, contact_sheet, folder_job
from pic_jax.runtime import errors, run_log

PARTIAL = '.partial'  # folder of files that are being written
REPORT, PAGE = 'report.json', 'contact_sheet.html'
MAX_NAME_BYTES = 255
# Colourfulness and saturation are measured on at most this many pixels.
MEASURED_PIXELS = 1_000_000


def _thin(rgb: np.ndarray) -> np.ndarray:
  """Every n-th pixel, as uint8 [1, H, W, 3]."""
  step = int(np.ceil(np.sqrt(rgb.shape[0] * rgb.shape[1] / MEASURED_PIXELS)))
  rgb = rgb[::step, ::step]
  return (rgb // 257 if rgb.dtype == np.uint16 else rgb)[None].astype(np.uint8)


def _measures(rgb: np.ndarray) -> dict[str, float]:
  thin = _thin(rgb)
  return {
    'colourfulness': float(metrics.colourfulness(thin)[0]),
    'saturation': float(metrics.saturation(color.rgb_to_lab(thin))[0]),
  }


class Folder:
  """Runs a job."""

  def __init__(self, job: folder_job.Job, colorizer: colorize.Colorizer):
    self._job = job
    self._colorizer = colorizer
    self._before = folder_job.read_journal(job.output)
    self._made_with = dataclasses.asdict(job.settings) | {
      'suffix': job.suffix,
      'checkpoint': colorizer.digest,
    }
    self._start = time.perf_counter()
    self._done = self._total = 0

  def run(self, files: list[pathlib.Path]) -> dict[str, Any]:
    """Colourises all files; the caller holds the lock of the output folder.

    Returns:
      The report: `settings`, and `files`, in whose order they are listed.
    """
    output = self._job.output
    shutil.rmtree(output / PARTIAL, ignore_errors=True)
    (output / PARTIAL).mkdir()
    batch_size = self._job.batch_size or jax.local_device_count()
    tasks = folder_job.make_tasks(self._job, files)
    self._total = len(tasks)
    with (output / folder_job.JOURNAL).open('a') as self._journal:
      self._journal.write('\n')  # ends a line that was cut off
      waiting = collections.defaultdict(list)  # by the shape of the levels
      for task in tasks:
        if not self._open(task):
          continue
        group = waiting[task.grey.levels.shape]
        group.append(task)
        if len(group) == batch_size:
          self._colourise(group)
          group.clear()
      for group in waiting.values():
        if group:
          self._colourise(group)
    shutil.rmtree(output / PARTIAL)
    report = {
      'settings': self._made_with,
      'files': [task.entry for task in tasks],
    }
    self._write(REPORT, json.dumps(report, indent=2) + '\n')
    entries = folder_job.read_journal(output)
    page = contact_sheet.to_html(
      'Colourisations', [entries[name] for name in sorted(entries)]
    )
    self._write(PAGE, page)
    return report

  def _write(self, name: str, text: str) -> None:
    temporary = self._job.output / f'.{name}'
    temporary.write_text(text)
    temporary.replace(self._job.output / name)

  def _targets(self, task: folder_job.Task) -> list[pathlib.Path]:
    return [
      task.stem.with_name(f'{task.stem.name}.{index}{self._job.suffix}')
      for index in range(self._job.settings.num_samples)
    ]

  def _open(self, task: folder_job.Task) -> bool:
    """Reads a photograph; False if nothing is left to do for it."""
    task.start = time.perf_counter()
    try:
      task.photograph = image_files.load_photograph(
        task.path, self._job.max_pixels
      )
    except errors.RunError as error:
      return self._fail(task, str(error))
    rgb = task.photograph.rgb
    digest = hashlib.sha256(repr((rgb.shape, rgb.dtype)).encode())
    digest.update(np.ascontiguousarray(rgb).data)
    task.entry |= {
      'height': rgb.shape[0],
      'width': rgb.shape[1],
      'notes': list(task.photograph.notes),
      'made_with': self._made_with | {'photograph': digest.hexdigest()},
    }
    before = self._before.get(task.entry['file'], {})
    is_ours = before.get('made_with') == task.entry['made_with']
    targets = self._targets(task)
    if max(len(os.fsencode(path.name)) for path in targets) > MAX_NAME_BYTES:
      return self._fail(task, 'its name is too long for a name of an output.')
    existing = [
      path for path in targets if os.path.lexists(self._job.output / path)
    ]
    if existing and not is_ours and not self._job.overwrite:
      what = 'was made with other settings' if before else 'is not of this job'
      return self._fail(
        task,
        f'{folder_job.shown(self._job.output / existing[0])} exists '
        f'and {what}: '
        '--overwrite, or choose another --output.',
      )
    done = is_ours and before['status'] == 'done' and not self._job.overwrite
    if done and len(existing) == len(targets):
      task.entry |= before | {'status': 'skipped'}
      task.photograph = None
      self._say(task, 'is there already')
      return False
    task.grey = self._colorizer.see(rgb)
    return True

  def _fail(self, task: folder_job.Task, reason: str) -> bool:
    task.entry |= {'status': 'failed', 'reason': reason}
    if self._before.get(task.entry['file'], {}).get('status') != 'done':
      self._log(task)
    self._say(task, f'failed: {folder_job.shown(reason)}')
    return False

  def _log(self, task: folder_job.Task) -> None:
    self._journal.write(json.dumps(task.entry) + '\n')
    self._journal.flush()

  def _say(self, task: folder_job.Task, text: str) -> None:
    self._done += 1
    elapsed = time.perf_counter() - self._start
    left = elapsed / self._done * (self._total - self._done)
    run_log.say(
      f'{self._done}/{self._total} '
      f'{folder_job.shown(task.entry["file"])}: {text}, '
      f'ETA {run_log.format_duration(left)}'
    )

  def _colourise(self, group: list[folder_job.Task]) -> None:
    """Draws for photographs of one shape, and writes their outputs."""
    drawings = self._colorizer.draw(
      [task.grey for task in group], self._job.settings
    )
    for task, drawing in zip(group, drawings, strict=True):
      task.entry['status'] = 'started'
      self._log(task)  # what is found after a kill is known to be ours
      self._finish(task, drawing)
      task.photograph = task.grey = None

  def _finish(self, task: folder_job.Task, drawing: colorize.Drawing) -> None:
    """Writes the outputs of one photograph."""
    rgb = task.photograph.rgb
    pictures = list(self._given(task, drawing))
    samples = []
    for index, target in enumerate(self._targets(task)):
      sample, clipped = self._colorizer.render(
        drawing, index, self._job.settings, rgb.dtype
      )
      self._save(target, sample, task.photograph.alpha)
      bits = _finite(drawing.bits_per_dim[index])
      samples.append(
        {'file': str(target), 'bits_per_dim': bits, 'clipped_share': clipped}
        | _measures(sample)
      )
      pictures.append(
        self._picture(f'{target}', sample, _bits_text([bits]) or 'sample')
        | {'file': str(target)}
      )
    if drawing.original_bits_per_dim is not None:
      pictures.append(pictures.pop(1))  # the original comes last
    task.entry |= {
      'status': 'done',
      'samples': samples,
      'original': None
      if drawing.original_bits_per_dim is None
      else {'bits_per_dim': _finite(drawing.original_bits_per_dim)}
      | _measures(rgb),
      'difference': drawing.difference,
      'seconds': time.perf_counter() - task.start,
      'pictures': pictures,
    }
    self._log(task)
    facts = [
      f'{task.entry["width"]} x {task.entry["height"]}',
      f'{len(samples)} samples',
      _bits_text([sample['bits_per_dim'] for sample in samples]),
      *task.photograph.notes,
    ]
    self._say(task, ', '.join(filter(None, facts)))

  def _given(
    self, task: folder_job.Task, drawing: colorize.Drawing
  ) -> Iterator[dict[str, Any]]:
    """The grey picture, and the original where it has colour."""
    name = task.entry['file']
    grey = (drawing.grey.luminance * 2.55).round().astype(np.uint8)
    grey = np.broadcast_to(grey[..., None], (*grey.shape, 3))
    yield self._picture(f'{name} grey', grey, 'grey')
    if drawing.original_bits_per_dim is not None:
      bits = _bits_text([_finite(drawing.original_bits_per_dim)])
      caption = ', '.join(filter(None, ['original', bits]))
      yield self._picture(f'{name} original', task.photograph.rgb, caption)

  def _picture(
    self, name: str, rgb: np.ndarray, caption: str
  ) -> dict[str, Any]:
    thumbnail = contact_sheet.save_thumbnail(self._job.output, name, rgb)
    return {
      'caption': caption,
      'thumbnail': thumbnail,
      'width': rgb.shape[1],
      'height': rgb.shape[0],
    }

  def _save(
    self, target: pathlib.Path, rgb: np.ndarray, alpha: np.ndarray | None
  ) -> None:
    """Writes one output, unless it is there and may not be overwritten."""
    path = self._job.output / target
    if os.path.lexists(path) and not self._job.overwrite:
      return
    temporary = self._job.output / PARTIAL / f'output{self._job.suffix}'
    image_files.save_image(temporary, rgb, alpha)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(path)


def _finite(bits: float) -> float | None:
  """None of a model without a likelihood."""
  return float(bits) if np.isfinite(bits) else None


def _bits_text(bits: list[float | None]) -> str:
  """'2.50 bits/dim', '2.50 to 2.75 bits/dim', or nothing."""
  if None in bits:
    return ''
  ends = sorted({f'{min(bits):.2f}', f'{max(bits):.2f}'})
  return f'{" to ".join(ends)} bits/dim'


def summary(report: dict[str, Any]) -> str:
  """One line: how many of each status."""
  counts = collections.Counter(entry['status'] for entry in report['files'])
  texts = {'done': 'colourised', 'skipped': 'there already', 'failed': 'failed'}
  return ', '.join(
    f'{counts[status]} {text}'
    for status, text in texts.items()
    if counts[status]
  )
