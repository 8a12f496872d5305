"""Several runs share the work on a folder without communicating."""

import collections
import json
import os
import random
import time

import pytest

from pic_jax.photos import (
  colorize,
  colorize_folder,
  folder_job,
  options,
  shards,
)
from pic_jax.runtime import errors, lock
from pic_jax.saved import weights_file
from tests import running, tiny

# Sizes of `test_killed_shards_lose_nothing`.
NUM_PICTURES = int(os.environ.get('PIC_JAX_NUM_PICTURES', '60'))
NUM_SHARDS, NUM_KILLS = 4, 3


@pytest.fixture(scope='module')
def colorizer():
  return colorize.Colorizer(*tiny.untrained_model(), digest='abc')


def run(colorizer, folder, shard='', output='out'):
  """Colours one shard of folder/in, by default all; returns the report."""
  job = folder_job.Job(
    inputs=(folder / 'in',),
    output=folder / output,
    settings=options.Settings(num_samples=1),
    shard=shards.parse(shard),
  )
  return colorize_folder.run(job, folder_job.find(job), colorizer)


def outputs_of(folder):
  """Returns the bytes of the outputs in a folder, keyed by name."""
  return {path.name: path.read_bytes() for path in folder.glob('*.png')}


def test_every_name_belongs_to_one_shard():
  names = [f'photo {i}.jpg' for i in range(2000)]
  counts = collections.Counter()
  for name in names:
    (owner,) = [i for i in range(1, 17) if shards.Shard(i, 16).has(name)]
    counts[owner] += 1
  assert len(counts) == 16 and 80 < min(counts.values())
  assert max(counts.values()) < 180
  assert all(shards.WHOLE.has(name) for name in names)


@pytest.mark.parametrize(
  'text', ['3', '0/4', '5/4', '1/0', 'a/b', '-1/4', '1/2/3']
)
def test_text_that_is_not_a_shard_is_refused(text):
  with pytest.raises(errors.UserError, match='--shard must be like 3/16'):
    shards.parse(text)


@pytest.mark.slow
def test_shards_have_the_same_outputs_as_one_run(colorizer, tmp_path):
  tiny.write_folder(tmp_path / 'in', 9)
  run(colorizer, tmp_path, output='whole')
  done = []
  for index in (2, 1, 3):
    report = run(colorizer, tmp_path, f'{index}/3')
    done += [entry['file'] for entry in report['files']]
    assert not (tmp_path / 'out' / folder_job.REPORT).exists()
  assert sorted(done) == [f'{i:03d}.png' for i in range(9)]
  report = run(colorizer, tmp_path)
  assert [entry['status'] for entry in report['files']] == 9 * ['skipped']
  assert all(entry['samples'] for entry in report['files'])
  assert outputs_of(tmp_path / 'out') == outputs_of(tmp_path / 'whole')
  pages = [
    (tmp_path / name / folder_job.CONTACT_SHEET).read_text()
    for name in ('out', 'whole')
  ]
  assert pages[0] == pages[1]
  hidden = {path.name for path in (tmp_path / 'out').glob('.*')}
  assert hidden == {folder_job.JOURNAL, lock.LOCK_FILE}


def test_a_run_without_a_shard_completes_the_missing_shards(
  colorizer, tmp_path
):
  tiny.write_folder(tmp_path / 'in', 9)
  run(colorizer, tmp_path, '1/2')
  statuses = [x['status'] for x in run(colorizer, tmp_path)['files']]
  assert {*statuses} == {'skipped', 'done'}
  assert len(outputs_of(tmp_path / 'out')) == 9


def test_only_different_shards_of_one_count_run_at_the_same_time(
  colorizer, tmp_path
):
  tiny.write_folder(tmp_path / 'in', 3)
  (tmp_path / 'out').mkdir()
  with lock.hold(tmp_path / 'out', '1of2'):
    for shard in ('1/2', '', '1/3'):
      with pytest.raises(errors.RunError, match='in use'):
        run(colorizer, tmp_path, shard)
    run(colorizer, tmp_path, '2/2')


@pytest.mark.slow
def test_killed_shards_lose_nothing(tmp_path):
  params, config = tiny.untrained_model()
  weights_file.save(tmp_path / 'w.safetensors', params, config, step=0)
  tiny.write_folder(tmp_path / 'in', NUM_PICTURES)
  arguments = [
    str(tmp_path / 'in'),
    f'--model={tmp_path / "w.safetensors"}',
    '--num-samples=1',
  ]

  def start(index):
    return running.start(
      *arguments,
      f'--output={tmp_path / "out"}',
      f'--shard={index}/{NUM_SHARDS}',
      entry_point='-m pic_jax colorize',
    )

  def num_done():
    return len(list((tmp_path / 'out').glob('*.png')))

  processes = {index: start(index) for index in range(1, NUM_SHARDS + 1)}
  rng = random.Random(0)
  for kill in range(1, NUM_KILLS + 1):
    target = kill * NUM_PICTURES // (NUM_KILLS + 2)
    running.wait_until(lambda n=target: num_done() >= n, *processes.values())
    time.sleep(rng.uniform(0, 0.2))
    index = rng.choice([i for i in processes if processes[i].poll() is None])
    processes[index].kill()
    processes[index].communicate()
    processes[index] = start(index)
  for process in processes.values():
    running.finish(process)
  assert num_done() == NUM_PICTURES
  running.run(
    *arguments,
    f'--output={tmp_path / "out"}',
    entry_point='-m pic_jax colorize',
  )
  report = json.loads((tmp_path / 'out' / folder_job.REPORT).read_text())
  counts = collections.Counter(x['status'] for x in report['files'])
  assert counts == {'skipped': NUM_PICTURES}
  running.run(
    *arguments,
    f'--output={tmp_path / "whole"}',
    entry_point='-m pic_jax colorize',
  )
  assert outputs_of(tmp_path / 'out') == outputs_of(tmp_path / 'whole')
