"""A folder of photographs: names, manners, reruns, kills, exit codes."""

import json
import os
import pathlib
import random
import shutil
import signal
import time

import numpy as np
import pytest
from PIL import Image

from pic_jax.photos import colorize, colorize_folder, folder_job, options
from pic_jax.runtime import errors
from pic_jax.saved import weights_file
from tests import running, tiny

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
  return colorize.Colorizer(*tiny.shaken_model(), digest='abc')


def write(path: pathlib.Path, seed: int = 0) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  rgb = tiny.images(1, 12, 16, seed)[0]
  Image.fromarray(rgb).save(path, 'PNG')


@pytest.fixture
def folder(tmp_path):
  for seed in range(3):
    write(tmp_path / 'in' / f'{seed}.png', seed)
  return tmp_path


def run(colorizer, folder, **changes):
  """Colourises folder/in to folder/out; returns status and files by name."""
  fields = {'source': folder / 'in', 'output': folder / 'out'}
  fields['settings'] = options.Settings(num_samples=2)
  job = folder_job.Job(**fields | changes)
  files = folder_job.find_files(job)
  job.output.mkdir(exist_ok=True)
  report = colorize_folder.Folder(job, colorizer).run(files)
  return {entry['file']: entry for entry in report['files']}


def contents(folder: pathlib.Path) -> dict[str, bytes]:
  return {
    path.name: path.read_bytes() for path in sorted(folder.glob('*.[0-9].*'))
  }


def test_every_photograph_gets_its_samples_and_a_full_entry(colorizer, folder):
  entries = run(colorizer, folder)
  assert sorted(contents(folder / 'out')) == [
    f'{name}.{k}.png' for name in range(3) for k in range(2)
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


def test_bytes_do_not_depend_on_batch_order_or_neighbours(colorizer, folder):
  run(colorizer, folder)
  first = contents(folder / 'out')
  write(folder / 'in' / '00.png', seed=9)  # now the first
  (folder / 'in' / '1.png').unlink()
  run(colorizer, folder, output=folder / 'again', batch_size=1)
  again = contents(folder / 'again')
  for name in ('0.0.png', '0.1.png', '2.0.png', '2.1.png'):
    assert again[name] == first[name]


def test_a_second_run_makes_only_what_is_missing(colorizer, folder):
  run(colorizer, folder)
  before = contents(folder / 'out')
  times = {p: p.stat().st_mtime_ns for p in (folder / 'out').glob('*.png')}
  missing = folder / 'out' / '1.1.png'
  missing.unlink()
  entries = run(colorizer, folder)
  statuses = [entries[f'{n}.png']['status'] for n in range(3)]
  assert statuses == ['skipped', 'done', 'skipped']
  assert contents(folder / 'out') == before
  for path, stamp in times.items():
    assert path == missing or path.stat().st_mtime_ns == stamp
  page = (folder / 'out' / 'contact_sheet.html').read_text()
  assert page.count('<figure>') == 3 * 4


def test_nothing_is_overwritten_unless_asked(colorizer, folder):
  (folder / 'out').mkdir()
  (folder / 'out' / '0.1.png').write_text('mine')
  entries = run(colorizer, folder)
  assert entries['0.png']['status'] == 'failed'
  assert 'overwrite' in entries['0.png']['reason']
  assert (folder / 'out' / '0.1.png').read_text() == 'mine'
  other = options.Settings(num_samples=2, seed=1)
  before = contents(folder / 'out')
  entries = run(colorizer, folder, settings=other)
  assert {entry['status'] for entry in entries.values()} == {'failed'}
  assert contents(folder / 'out') == before
  entries = run(colorizer, folder, settings=other, overwrite=True)
  assert {entry['status'] for entry in entries.values()} == {'done'}
  after = contents(folder / 'out')
  assert all(after[name] != before[name] for name in before)
  write(folder / 'in' / '0.png', seed=7)  # another photograph of this name
  assert run(colorizer, folder, settings=other)['0.png']['status'] == 'failed'


def test_equal_stems_keep_their_suffix(colorizer, tmp_path):
  for name in ('same.png', 'same.jpg', 'other.png'):
    write(tmp_path / 'in' / name)
  run(colorizer, tmp_path, settings=options.Settings(num_samples=1))
  assert sorted(contents(tmp_path / 'out')) == [
    'other.0.png',
    'same.jpg.0.png',
    'same.png.0.png',
  ]


def test_any_name_is_served_and_escaped(colorizer, tmp_path, capsys):
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


def test_bad_files_are_named_and_the_rest_is_written(colorizer, folder, capsys):
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


def test_subfolders_are_for_recursive_and_outputs_are_no_inputs(
  colorizer, folder
):
  write(folder / 'in' / 'sub' / 'deep.png')
  assert len(run(colorizer, folder)) == 3
  inside = folder / 'in' / 'out'
  entries = run(colorizer, folder, output=inside, recursive=True)
  assert sorted(entries) == ['0.png', '1.png', '2.png', 'sub/deep.png']
  assert (inside / 'sub' / 'deep.1.png').is_file()
  assert len(run(colorizer, folder, output=inside, recursive=True)) == 4


def test_impossible_folders_are_refused(folder):
  chosen = options.Settings()
  (folder / 'file').touch()
  (folder / 'empty').mkdir()
  for source, output, text in (
    ('none', 'out', '--input'),
    ('in', 'in', 'must not be'),
    ('in', 'file', '--output'),
    ('empty', 'out', 'no photographs'),
  ):
    job = folder_job.Job(folder / source, folder / output, chosen)
    with pytest.raises(errors.UserError, match=text):
      folder_job.find_files(job)


@pytest.fixture(scope='module')
def model_file(tmp_path_factory):
  params, config = tiny.shaken_model()
  path = tmp_path_factory.mktemp('model') / 'w.safetensors'
  weights_file.save(path, params, config, 0)
  return path


@pytest.mark.slow
def test_exit_codes_of_the_command(folder, model_file):
  def colorize_all(code: int, source: str, *more: str) -> str:
    return running.run(
      '--mode=colorize',
      f'--checkpoint={model_file}',
      f'--input={folder / source}',
      f'--output={folder / "out"}',
      '--num_samples=1',
      *more,
      code=code,
    )[1]

  colorize_all(0, 'in', f'--report={folder / "report.json"}')
  assert json.loads((folder / 'report.json').read_text())['files']
  (folder / 'in' / 'bad.png').write_text('bad')
  assert 'bad.png' in colorize_all(3, 'in')
  assert '--input' in colorize_all(2, 'none')
  assert 'num_samples' in colorize_all(2, 'in', '--num_samples=0')
  shutil.rmtree(folder / 'in')
  (folder / 'in').mkdir()
  (folder / 'in' / 'bad.png').write_text('bad')
  stderr = colorize_all(4, 'in')
  assert 'Traceback' not in stderr


@pytest.mark.slow
def test_kill_9_leaves_whole_files_and_the_rerun_completes(
  tmp_path, model_file
):
  """Ten kills, from the first output on."""
  for seed in range(12):
    rgb = np.kron(tiny.images(1, 30, 40, seed)[0], np.ones((20, 20, 1)))
    path = tmp_path / 'in' / f'{seed}.png'
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(rgb.astype(np.uint8)).save(path)
  arguments = [
    '--mode=colorize',
    f'--checkpoint={model_file}',
    f'--input={tmp_path / "in"}',
    '--num_samples=2',
  ]
  running.run(*arguments, f'--output={tmp_path / "whole"}')
  expected = contents(tmp_path / 'whole')
  assert len(expected) == 24
  output = tmp_path / 'killed'
  rng = random.Random(0)
  for _ in range(10):
    count = len(contents(output)) if output.exists() else 0
    process = running.start(*arguments, f'--output={output}')
    target = min(count + rng.randint(1, 2), 24)
    running.wait_until(
      lambda target=target: len(contents(output)) >= target, process
    )
    time.sleep(rng.uniform(0, 0.05))
    process.kill()
    process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)
    for name, data in contents(output).items():
      assert data == expected[name]
  _, stderr = running.run(*arguments, f'--output={output}')
  assert contents(output) == expected
  assert 'there already' in stderr
  page = (output / 'contact_sheet.html').read_text()
  assert page.count('<figure>') == 12 * 4
  assert not (output / '.partial').exists()
