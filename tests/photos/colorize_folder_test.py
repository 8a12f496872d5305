"""Colouring of folders: names, file options, reruns, kills, exit codes."""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import shutil
import signal
import time

import jax
import numpy as np
import pytest
from PIL import ExifTags, Image

from pic_jax.images import encoding, image_files
from pic_jax.photos import (
  colorize,
  colorize_folder,
  folder_job,
  options,
  shards,
)
from pic_jax.runtime import errors
from pic_jax.saved import weights_file
from tests import running, tiny

ROOT = running.ROOT

NAMES = (
  'plain.png',
  'Ünïcode 写真.png',
  'two\nlines.png',
  '-dash.png',
  '100%s.png',
  'it\'s "quoted".png',
  '<img src=x onerror=alert(1)>.png',
  'x' * 200 + '.png',
  'UPPER.PNG',
)


@pytest.fixture(scope='module')
def colorizer():
  return colorize.Colorizer(*tiny.untrained_model(), digest='abc')


def write(path: pathlib.Path, seed: int = 0) -> None:
  """Writes a random 16 x 12 photograph as PNG, whatever the suffix."""
  path.parent.mkdir(parents=True, exist_ok=True)
  rgb = tiny.images(1, 12, 16, seed)[0]
  Image.fromarray(rgb).save(path, 'PNG')


@pytest.fixture
def folder(tmp_path):
  for seed in range(3):
    write(tmp_path / 'in' / f'{seed}.png', seed)
  return tmp_path


def run(colorizer, folder, **changes):
  """Colours folder/in into folder/out, unless `changes` name other folders.

  Args:
    colorizer: the model.
    folder: folder of the inputs and outputs.
    **changes: other values for fields of `Job` and `FileOptions`.

  Returns:
    Entries of the report, keyed by file name.
  """
  fields = {'inputs': (folder / 'in',), 'output': folder / 'out'}
  fields['settings'] = options.Settings(num_samples=2)
  names = [field.name for field in dataclasses.fields(options.FileOptions)]
  file_options = {name: changes.pop(name) for name in names if name in changes}
  job = folder_job.Job(
    **fields | changes, file_options=options.FileOptions(**file_options)
  )
  report = colorize_folder.run(job, folder_job.find(job), colorizer)
  return {entry['file']: entry for entry in report['files']}


def contents(folder: pathlib.Path) -> dict[str, bytes]:
  """Returns the bytes of the outputs in a folder, keyed by name."""
  return {
    path.name: path.read_bytes() for path in sorted(folder.glob('*.[0-9].*'))
  }


def test_every_photograph_gets_its_samples_and_a_full_entry(colorizer, folder):
  entries = run(colorizer, folder)
  assert sorted(contents(folder / 'out')) == [
    f'{name}.png.{k}.png' for name in range(3) for k in range(2)
  ]
  for entry in entries.values():
    assert entry['status'] == 'done'
    assert (entry['width'], entry['height']) == (16, 12)
    assert entry['difference'] > 0 and entry['seconds'] > 0
    assert entry['original']['bits_per_dim'] > 0
    assert entry['made_with']['checkpoint'] == 'abc'
    for sample in entry['samples']:
      assert {'bits_per_dim', 'clipped_share', 'colourfulness'} <= set(sample)
      with Image.open(folder / 'out' / sample['file']) as image:
        assert image.size == (16, 12)
  report = json.loads((folder / 'out' / 'report.json').read_text())
  assert len(report['files']) == 3
  page = (folder / 'out' / 'contact_sheet.html').read_text()
  assert page.count('<figure>') == 3 * 4 and page.count('original') >= 3
  for part in page.split('src="')[1:]:
    assert (folder / 'out' / part.split('"')[0]).is_file()


def test_outputs_do_not_depend_on_other_photographs(colorizer, folder):
  run(colorizer, folder)
  first = contents(folder / 'out')
  write(folder / 'in' / '-.png', seed=9)  # before 0.png
  write(folder / 'in' / '00.png', seed=8)  # between 0.png and 2.png
  (folder / 'in' / '1.png').unlink()
  run(colorizer, folder, output=folder / 'again')
  again = contents(folder / 'again')
  for name in ('0.png.0.png', '0.png.1.png', '2.png.0.png', '2.png.1.png'):
    assert again[name] == first[name]


def test_a_second_run_makes_only_what_is_missing(colorizer, folder):
  run(colorizer, folder)
  before = contents(folder / 'out')
  times = {p: p.stat().st_mtime_ns for p in (folder / 'out').glob('*.png')}
  missing = folder / 'out' / '1.png.1.png'
  missing.unlink()
  entries = run(colorizer, folder)
  statuses = [entries[f'{n}.png']['status'] for n in range(3)]
  assert statuses == ['skipped', 'done', 'skipped']
  assert contents(folder / 'out') == before
  for path, stamp in times.items():
    assert path == missing or path.stat().st_mtime_ns == stamp
  page = (folder / 'out' / 'contact_sheet.html').read_text()
  assert page.count('<figure>') == 3 * 4


def test_empty_outputs_of_a_power_failure_are_made_again(colorizer, folder):
  run(colorizer, folder)
  before = contents(folder / 'out')
  (folder / 'out' / '1.png.0.png').write_bytes(b'')
  (folder / 'out' / '1.png.1.png').write_bytes(b'')
  with (folder / 'out' / folder_job.JOURNAL).open('ab') as journal:
    journal.write(b'{"file": "2.\xff\0\0\0')
  entries = run(colorizer, folder)
  statuses = [entries[f'{n}.png']['status'] for n in range(3)]
  assert statuses == ['skipped', 'done', 'skipped']
  assert contents(folder / 'out') == before


def test_single_samples_are_chosen_by_their_numbers(colorizer, folder):
  run(colorizer, folder, settings=options.Settings(num_samples=4))
  four = contents(folder / 'out')
  chosen = {'settings': options.Settings(samples='3,1'), 'output': folder / 'b'}
  run(colorizer, folder, **chosen)
  made = contents(folder / 'b')
  # In '0.png.3.png', the number of the sample is the fifth character from the
  # end.
  assert made == {name: data for name, data in four.items() if name[-5] in '13'}
  again = run(colorizer, folder, **chosen)
  assert {entry['status'] for entry in again.values()} == {'skipped'}


def test_files_are_overwritten_only_on_request(colorizer, folder):
  (folder / 'out').mkdir()
  (folder / 'out' / '0.png.1.png').write_text('mine')
  for _ in range(2):  # a failed run does not make the file its own
    entries = run(colorizer, folder)
    assert entries['0.png']['status'] == 'failed'
    assert 'overwrite' in entries['0.png']['reason']
  assert (folder / 'out' / '0.png.1.png').read_text() == 'mine'
  other = options.Settings(num_samples=2, seed=1)
  before = contents(folder / 'out')
  entries = run(colorizer, folder, settings=other)
  assert {entry['status'] for entry in entries.values()} == {'failed'}
  assert 'with other settings' in entries['1.png']['reason']
  assert contents(folder / 'out') == before
  entries = run(colorizer, folder, settings=other, overwrite=True)
  assert {entry['status'] for entry in entries.values()} == {'done'}
  after = contents(folder / 'out')
  assert all(after[name] != before[name] for name in before)
  write(folder / 'in' / '0.png', seed=7)  # another photograph with this name
  assert run(colorizer, folder, settings=other)['0.png']['status'] == 'failed'


def test_the_error_for_outputs_of_other_weights_says_so(
  colorizer, folder, monkeypatch
):
  run(colorizer, folder)
  before = contents(folder / 'out')
  digest = colorizer.digest
  monkeypatch.setattr(colorizer, 'digest', 'f' * 64)
  for entry in run(colorizer, folder).values():
    assert entry['status'] == 'failed'
    assert f'other weights (digest {digest[:12]};' in entry['reason']
    assert '--model' in entry['reason']
  assert contents(folder / 'out') == before


@pytest.mark.parametrize('name', ['report.json', '.partial'])
def test_an_output_folder_with_foreign_files_is_refused(
  colorizer, folder, name
):
  path = folder / 'out' / name
  if name == '.partial':
    path.mkdir(parents=True)
  else:
    write(path)
  with pytest.raises(errors.UserError, match='does not belong to this job'):
    run(colorizer, folder)
  assert path.exists() and [*path.parent.iterdir()] == [path]
  if name == 'report.json':
    assert len(run(colorizer, folder, overwrite=True)) == 3


def test_a_picture_that_cannot_be_encoded_fails_alone(
  colorizer, folder, monkeypatch
):
  write_file = encoding.write

  def write_all_but_one(file, form, rgb, **kwargs):
    if rgb.shape[:2] == (9, 5):
      raise ValueError('not in this format')
    write_file(file, form, rgb, **kwargs)

  monkeypatch.setattr(encoding, 'write', write_all_but_one)
  Image.new('L', (5, 9)).save(folder / 'in' / '1.png')
  entries = run(colorizer, folder)
  assert [entry['status'] for entry in entries.values()] == [
    'done',
    'failed',
    'done',
  ]
  assert 'not in this format' in entries['1.png']['reason']


def test_a_run_that_is_stopped_while_overwriting_leaves_no_mixed_samples(
  colorizer, folder, monkeypatch
):
  run(colorizer, folder)
  save = colorize_folder._save
  saved = []

  def save_only_the_first(path, *args, **kwargs):
    if saved:
      raise KeyboardInterrupt
    saved.append(path)
    save(path, *args, **kwargs)

  monkeypatch.setattr(colorize_folder, '_save', save_only_the_first)
  other = {'settings': options.Settings(num_samples=2, seed=1)}
  with pytest.raises(errors.Stopped, match='same command again'):
    run(colorizer, folder, overwrite=True, **other)
  monkeypatch.undo()
  run(colorizer, folder, **other)
  run(colorizer, folder, output=folder / 'fresh', **other)
  after, fresh = contents(folder / 'out'), contents(folder / 'fresh')
  for index in range(2):
    assert after[f'0.png.{index}.png'] == fresh[f'0.png.{index}.png']


def test_a_journal_of_an_older_version_is_read(colorizer, folder):
  """Lines that are not entries are skipped."""
  (folder / 'out').mkdir()
  older = [
    {'file': 'old.png', 'status': 'done', 'pictures': []},
    {'file': 'bad.png', 'status': 'failed', 'reason': 'torn'},
  ]
  text = '\n'.join(map(json.dumps, [*older, 3, None, ['file'], {}]))
  (folder / 'out' / folder_job.JOURNAL).write_text(text, encoding='utf-8')
  assert len(run(colorizer, folder)) == 3
  assert 'torn' in (folder / 'out' / 'contact_sheet.html').read_text()


def test_a_photograph_too_large_for_the_format_fails_alone(colorizer, folder):
  Image.new('L', (16_384, 3)).save(folder / 'in' / '1.png')
  entries = run(colorizer, folder, format='webp')
  assert [entry['status'] for entry in entries.values()] == [
    'done',
    'failed',
    'done',
  ]
  assert '--format png' in entries['1.png']['reason']


@pytest.mark.parametrize('case', ['collide', 'neigh'])
def test_names_of_outputs_do_not_depend_on_other_photographs(
  colorizer, tmp_path, case
):
  source = ROOT / 'tests' / 'cases' / case
  names = sorted(path.name for path in source.iterdir())
  one = options.Settings(num_samples=1)
  run(colorizer, tmp_path, inputs=(source,), settings=one, overwrite=True)
  assert sorted(contents(tmp_path / 'out')) == [f'{n}.0.png' for n in names]
  assert len({*contents(tmp_path / 'out').values()}) == len(names)


def test_two_inputs_with_the_same_name_are_refused_before_drawing(
  colorizer, folder
):
  write(folder / 'other' / '1.png')
  with pytest.raises(errors.UserError, match='in/1.png and .*other/1.png'):
    run(colorizer, folder, inputs=(folder / 'in', folder / 'other' / '1.png'))
  assert not (folder / 'out').exists()


def test_names_that_differ_by_case_are_refused_if_the_disk_ignores_case(
  folder, monkeypatch
):
  write(folder / 'in' / 'B.png')
  write(folder / 'in' / 'b.png')
  job = folder_job.Job((folder / 'in',), folder, options.Settings())
  # Every shard compares both names, although none of them colours both.
  shard_jobs = [
    dataclasses.replace(job, shard=shards.Shard(index, 16))
    for index in range(1, 17)
  ]
  jobs_and_files = [(x, folder_job.find(x)) for x in (job, *shard_jobs)]
  has_both = [
    {'B.png', 'b.png'} <= {name for _, name in found.photographs}
    for _, found in jobs_and_files
  ]
  assert has_both == [True] + 16 * [False]
  for each_job, found in jobs_and_files:
    folder_job.check_case(each_job, found)  # this disk does not ignore case
  # As on a disk that ignores case, where a file exists under any case.
  monkeypatch.setattr(pathlib.Path, 'exists', lambda path: True)
  for each_job, found in jobs_and_files:
    with pytest.raises(errors.UserError, match='B.png and .*b.png'):
      folder_job.check_case(each_job, found)


def test_files_that_are_left_out_are_reported_by_kind(
  colorizer, folder, capsys
):
  shutil.copytree(ROOT / 'tests' / 'cases' / 'mixed', folder / 'mixed')
  entries = run(colorizer, folder, inputs=(folder / 'mixed',))
  assert {'photo.avif', 'plain.png'} <= set(entries)
  assert {entry['status'] for entry in entries.values()} == {'done'}
  stderr = capsys.readouterr().err
  assert '1 .pgm' in stderr
  if '.heic' not in image_files.suffixes():
    assert '1 .heic (to read HEIC, run `pip install pillow-heif`)' in stderr
  report = json.loads((folder / 'out' / 'report.json').read_text())
  assert str(folder / 'mixed' / 'g.pgm') in report['left_out']


def test_the_error_for_a_folder_of_heic_says_what_to_install(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(image_files, 'suffixes', lambda: image_files.SUFFIXES)
  job = folder_job.Job(
    (ROOT / 'tests' / 'cases' / 'heic_alone',),
    tmp_path,
    options.Settings(num_samples=1),
  )
  with pytest.raises(errors.UserError, match='1 .heic .*pip install pillow-h'):
    folder_job.find(job)


def test_outputs_of_an_earlier_job_are_not_inputs(colorizer, folder):
  run(colorizer, folder, output=folder / 'in' / 'earlier')
  entries = run(colorizer, folder, recursive=True)
  assert sorted(entries) == ['0.png', '1.png', '2.png']


def test_metadata_is_kept_and_outputs_are_upright(colorizer, folder):
  source = ROOT / 'tests' / 'cases' / 'metadata' / 'orient5.jpg'
  for form in options.FORMATS:
    run(colorizer, folder, inputs=(source,), format=form, output=folder / form)
    with (
      Image.open(source) as before,
      Image.open(folder / form / f'orient5.jpg.0.{form}') as after,
    ):
      assert after.size == before.size[::-1]
      old, new = before.getexif(), after.getexif()
      for name in ('Artist', 'Copyright', 'DateTime', 'ImageDescription'):
        tag = ExifTags.Base[name]
        assert old.get(tag) == new.get(tag)
      assert len(new) >= 2 and ExifTags.Base.Orientation not in new
      if 'dpi' in before.info and form != 'webp':
        np.testing.assert_allclose(
          after.info['dpi'], before.info['dpi'], rtol=1e-3
        )


def test_skip_colour_skips_colour_photographs(colorizer, folder):
  grey = np.asarray(Image.open(folder / 'in' / '0.png').convert('L'))
  Image.fromarray(grey).save(folder / 'in' / 'grey.png')
  entries = run(colorizer, folder, skip_colour=True)
  statuses = {name: entry['status'] for name, entry in entries.items()}
  assert statuses.pop('grey.png') == 'done'
  assert set(statuses.values()) == {'skipped'}


def test_the_largest_page_of_a_tiff_is_coloured(colorizer, folder):
  source = ROOT / 'tests' / 'cases' / 'thumbnail_first' / 'thumb_first.tif'
  (entry,) = run(colorizer, folder, inputs=(source,)).values()
  assert 'page 2 of 2, the largest' in entry['notes']


def test_the_gamma_of_a_png_is_applied():
  path = ROOT / 'tests' / 'cases' / 'gama' / 'gama_linear.png'
  photograph = image_files.load_photograph(path)
  with Image.open(path) as image:
    stored = np.asarray(image.convert('RGB')).astype(float) / 255
  # The stored values are linear.
  srgb = np.where(
    stored > 0.0031308, 1.055 * stored ** (1 / 2.4) - 0.055, 12.92 * stored
  )
  rgb = np.broadcast_to(photograph.rgb, stored.shape)
  np.testing.assert_allclose(rgb, 255 * srgb, atol=0.51)
  assert any('gamma' in note for note in photograph.notes)


def test_photographs_of_any_name_are_coloured_and_their_names_escaped(
  colorizer, tmp_path, capsys
):
  for name in NAMES:
    write(tmp_path / 'in' / name)
  undecodable = os.fsdecode(b'\xff\xfe.png')
  write(tmp_path / 'in' / undecodable)
  one = options.Settings(num_samples=1)
  entries = run(colorizer, tmp_path, settings=one)
  assert {entry['status'] for entry in entries.values()} == {'done'}
  assert len(contents(tmp_path / 'out')) == len(NAMES) + 1
  lines = capsys.readouterr().err.splitlines()
  assert sum(': 16 x 12' in line for line in lines) == len(NAMES) + 1
  page = (tmp_path / 'out' / 'contact_sheet.html').read_text()
  assert '<img src=x' not in page and '&lt;img src=x onerror' in page
  again = run(colorizer, tmp_path, settings=one)
  assert {entry['status'] for entry in again.values()} == {'skipped'}


def test_bad_files_are_named_and_the_rest_is_coloured(
  colorizer, folder, capsys
):
  (folder / 'in' / 'text.jpg').write_text('no picture')
  (folder / 'in' / 'empty.png').touch()
  os.mkfifo(folder / 'in' / 'pipe.png')
  (folder / 'in' / 'loop.png').symlink_to('loop.png')
  (folder / 'in' / 'folder.png').mkdir()
  entries = run(colorizer, folder)
  failed = {n for n, e in entries.items() if e['status'] == 'failed'}
  assert failed == {'text.jpg', 'empty.png', 'pipe.png', 'loop.png'}
  assert len(contents(folder / 'out')) == 6
  lines = capsys.readouterr().err.splitlines()
  assert sum('failed: ' in line for line in lines) == 4


def test_recursive_reads_subfolders_but_not_outputs(colorizer, folder):
  write(folder / 'in' / 'sub' / 'deep.png')
  assert len(run(colorizer, folder)) == 3
  inside = folder / 'in' / 'out'
  entries = run(colorizer, folder, output=inside, recursive=True)
  assert sorted(entries) == ['0.png', '1.png', '2.png', 'sub/deep.png']
  assert (inside / 'sub' / 'deep.png.1.png').is_file()
  assert len(run(colorizer, folder, output=inside, recursive=True)) == 4


def test_a_subfolder_that_cannot_be_read_is_left_out(
  colorizer, folder, monkeypatch, capsys
):
  write(folder / 'in' / 'lost+found' / 'deep.png')
  scan = os.scandir

  def refuse(path='.'):
    if str(path).endswith('lost+found'):
      raise PermissionError(13, 'Permission denied', str(path))
    return scan(path)

  monkeypatch.setattr(os, 'scandir', refuse)
  assert len(run(colorizer, folder, recursive=True)) == 3
  assert 'lost+found cannot be read' in capsys.readouterr().err


def test_unusable_inputs_and_output_folders_are_refused(folder):
  chosen = options.Settings()
  (folder / 'file').touch()
  (folder / 'empty').mkdir()
  for source, output, text in (
    ('none', 'out', 'no such file or folder'),
    ('in', 'in', 'both input and output'),
    ('in', 'file', 'must be a folder'),
    ('empty', 'out', 'No photographs'),
  ):
    job = folder_job.Job((folder / source,), folder / output, chosen)
    with pytest.raises(errors.UserError, match=text):
      folder_job.find(job)


@pytest.fixture(scope='module')
def model_file(tmp_path_factory):
  params, config = tiny.untrained_model()
  path = tmp_path_factory.mktemp('model') / 'w.safetensors'
  weights_file.save(path, params, config, step=0)
  return path


ENTRY_POINT = '-m pic_jax colorize'


@pytest.mark.slow
def test_exit_codes_of_the_command(folder, model_file):
  def colorize_all(code: int, source: str, *more: str, **env: str) -> str:
    """Runs the command, checks its exit code and returns stderr."""
    return running.run(
      str(folder / source),
      f'--model={model_file}',
      f'--output={folder / "out"}',
      '--num-samples=1',
      *more,
      code=code,
      entry_point=ENTRY_POINT,
      **env,
    )[1]

  colorize_all(0, 'in')
  (folder / 'in' / 'bad.png').write_text('bad')
  assert 'bad.png' in colorize_all(3, 'in')
  for text, *arguments in (
    ('no such file', 'none'),
    ('`num_samples` must be from 1', 'in', '--num-samples=0'),
    ("invalid choice: 'gif'", 'in', '--format=gif'),
  ):
    lines = colorize_all(2, *arguments).splitlines()
    assert len(lines) == 1 and text in lines[0]
  # Names with other characters are accepted even under an ASCII locale.
  shutil.copytree(ROOT / 'tests' / 'cases' / 'name1', folder / 'name1')
  ascii_only = {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
  assert 'Traceback' not in colorize_all(0, 'name1', **ascii_only)
  shutil.rmtree(folder / 'in')
  (folder / 'in').mkdir()
  (folder / 'in' / 'bad.png').write_text('bad')
  assert 'Traceback' not in colorize_all(4, 'in')


@pytest.mark.slow
def test_ctrl_c_says_how_to_continue(folder, model_file):
  process = running.start(
    str(folder / 'in'),
    f'--model={model_file}',
    f'--output={folder / "out"}',
    entry_point=ENTRY_POINT,
  )
  running.wait_until(lambda: bool(contents(folder / 'out')), process)
  process.send_signal(signal.SIGINT)
  _, stderr = process.communicate(timeout=300)
  assert process.returncode in (0, 130)
  assert process.returncode == 0 or 'same command again' in stderr


@pytest.mark.slow
def test_kill_9_leaves_whole_files_and_the_rerun_completes(
  tmp_path, model_file
):
  """Kills the command at random times.

  The photographs have many sizes and formats, and some are broken.
  """
  num_kills = int(os.environ.get('PIC_JAX_NUM_KILLS', 5))
  rng = np.random.default_rng(0)
  (tmp_path / 'in').mkdir()
  num_photographs = max(12, 10 * num_kills)
  broken = set()
  for seed in range(num_photographs):
    form = ('png', 'jpg', 'webp', 'tif', 'bmp', 'gif')[seed % 6]
    shape = rng.integers(20, 300, 2)
    path = tmp_path / 'in' / f'{seed:03d}.{form}'
    rgb = tiny.images(1, *shape, seed)[0]
    Image.fromarray(rgb).save(path)
    if seed % 7 == 3:
      path.write_bytes(path.read_bytes()[: rng.integers(1, 60)])
      broken.add(path.name)
  arguments = [
    str(tmp_path / 'in'),
    f'--model={model_file}',
    '--num-samples=2',
  ]
  whole, output = tmp_path / 'whole', tmp_path / 'killed'
  running.run(*arguments, f'--output={whole}', code=3, entry_point=ENTRY_POINT)
  expected = contents(whole)
  assert len(expected) == 2 * (num_photographs - len(broken))
  stamps = {}
  for _ in range(num_kills):
    count = len(contents(output)) if output.exists() else 0
    process = running.start(
      *arguments, f'--output={output}', entry_point=ENTRY_POINT
    )
    target = min(count + int(rng.integers(1, 9)), len(expected))
    running.wait_until(
      lambda target=target: len(contents(output)) >= target, process
    )
    time.sleep(rng.uniform(0, 0.05))
    process.kill()
    process.communicate()
    assert process.returncode in (3, -signal.SIGKILL)
    for path in output.glob('*.[0-9].*'):
      assert path.read_bytes() == expected[path.name]
      assert stamps.setdefault(path.name, path.stat().st_mtime_ns) == (
        path.stat().st_mtime_ns
      )
  running.run(*arguments, f'--output={output}', code=3, entry_point=ENTRY_POINT)
  assert contents(output) == expected
  for name, stamp in stamps.items():
    assert (output / name).stat().st_mtime_ns == stamp
  report = json.loads((output / 'report.json').read_text())
  failed = {e['file'] for e in report['files'] if e['status'] == 'failed'}
  assert failed == broken and len(report['files']) == num_photographs
  assert not (output / '.partial').exists()


@pytest.mark.slow
def test_photographs_of_new_sizes_compile_no_programs(colorizer, tmp_path):
  """The first run compiles the programs for all shapes of the second."""
  rng = np.random.default_rng(0)
  for seed in range(30):
    height, width = rng.integers(9, 60, 2)
    path = tmp_path / 'in' / f'{seed:02d}.png'
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(tiny.images(1, height, width, seed)[0]).save(path)
  run(colorizer, tmp_path)
  (tmp_path / 'more').mkdir()
  for seed in range(20):
    height, width = rng.integers(60, 90, 2)
    rgb = tiny.images(1, height, width, seed)[0]
    Image.fromarray(rgb).save(tmp_path / 'more' / f'{seed:02d}.png')
  with jax.log_compiles(), capturing_log() as lines:
    run(
      colorizer,
      tmp_path,
      inputs=(tmp_path / 'more',),
      output=tmp_path / 'two',
    )
  assert [line for line in lines if line.startswith('Compiling')] == []


@contextlib.contextmanager
def capturing_log():
  """Yields a list that collects the messages that jax logs."""
  lines = []
  handler = logging.Handler()
  handler.emit = lambda record: lines.append(record.getMessage())
  logger = logging.getLogger('jax')
  logger.addHandler(handler)
  try:
    yield lines
  finally:
    logger.removeHandler(handler)
