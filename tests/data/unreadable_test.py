"""Damaged pictures are replaced or left out, up to a limit."""

import errno

import numpy as np
import pytest

from pic_jax.data import input_pipeline, sources, unreadable
from pic_jax.evaluation import likelihood
from pic_jax.images import image_files
from pic_jax.runtime import devices, errors
from tests import tiny

DAMAGED = (3, 4, 11)


@pytest.fixture
def folder(tmp_path):
  """Writes twenty pictures, three of them with half of the file missing."""
  tiny.write_folder(tmp_path, 20)
  for index in DAMAGED:
    path = tmp_path / f'{index:03d}.png'
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  return tmp_path


def folder_config(folder, **changes):
  config = tiny.config('smoke').data
  with config.unlocked():
    config.update({'name': 'folder', 'data_dir': str(folder)})
    config.update({'image_size': 16, 'train_split': 'all'} | changes)
  return config


def indices_of(rgb: np.ndarray, folder) -> list[int]:
  """Returns the index in the folder of each image, which may be flipped."""
  readable = {}
  for index in sorted(set(range(20)) - set(DAMAGED)):
    source = sources.FolderSource(folder_config(folder), 'all')
    readable[index] = source[index].astype(int)

  def distance(one, other):
    return min(np.abs(one - other).sum(), np.abs(one[:, ::-1] - other).sum())

  return [
    min(readable, key=lambda i: distance(x.astype(int), readable[i]))
    for x in rgb
  ]


def test_the_next_readable_picture_replaces_a_damaged_one(folder, monkeypatch):
  images = input_pipeline.open_training(folder_config(folder)).images
  dataset = input_pipeline.train_dataset(images, 4, seed=1)
  found = np.stack([indices_of(dataset[step], folder) for step in range(20)])
  # The order of the indices, as if no picture were damaged.
  undamaged = input_pipeline.train_dataset(
    np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1), 4, seed=1
  )
  order = np.stack([undamaged[step].ravel() for step in range(40)])
  replaced = 0
  for step, row in np.ndindex(20, 4):
    readable = [i for i in order[step:, row] if i not in DAMAGED]
    assert found[step, row] == readable[0]
    replaced += order[step, row] in DAMAGED
  assert replaced >= 6
  # Two hosts that read from disk and start at a later step get these batches.
  monkeypatch.setattr(input_pipeline, 'MEMORY_LIMIT_BYTES', 0)
  images = input_pipeline.open_training(folder_config(folder)).images
  shares = [
    input_pipeline.train_batches(
      input_pipeline.train_dataset(images, 4, 1, host=host, num_hosts=2),
      first_step=5,
    )
    for host in range(2)
  ]
  for step in range(5, 15):
    joined = np.concatenate([next(share) for share in shares])
    np.testing.assert_array_equal(joined, dataset[step])


@pytest.mark.parametrize('memory_limit', [0, 1 << 30])
def test_too_many_unreadable_pictures_end_the_run(
  memory_limit, folder, monkeypatch, capsys
):
  monkeypatch.setattr(input_pipeline, 'MEMORY_LIMIT_BYTES', memory_limit)
  with pytest.raises(errors.UserError, match='max_unreadable.*now 2'):
    images = input_pipeline.open_training(
      folder_config(folder, max_unreadable=2)
    ).images
    dataset = input_pipeline.train_dataset(images, 4, seed=1)
    for step in range(10):
      dataset[step]
  stderr = capsys.readouterr().err
  assert stderr.count('damaged') == 2 and '(1 of at most 2)' in stderr


@pytest.mark.parametrize('memory_limit', [0, 1 << 30])
def test_evaluation_leaves_out_only_as_many_pictures_as_allowed(
  memory_limit, folder, monkeypatch
):
  monkeypatch.setattr(input_pipeline, 'MEMORY_LIMIT_BYTES', memory_limit)
  with pytest.raises(errors.UserError, match='003.png.*max_unreadable'):
    source = input_pipeline.open_source(folder_config(folder), 'all')
    list(input_pipeline.eval_batches(source, 8))
  config = folder_config(folder, max_unreadable=3)
  source = input_pipeline.open_source(config, 'all')
  seen = []
  for rgb, indices, mask in input_pipeline.eval_batches(source, 8):
    assert indices_of(rgb[mask], folder) == indices[mask].tolist()
    seen += indices[mask].tolist()
  assert seen == [i for i in range(20) if i not in DAMAGED]


@pytest.mark.slow
def test_the_report_tells_how_many_pictures_were_left_out(folder):
  params, config = tiny.untrained_model()
  with config.unlocked():
    config.data = folder_config(folder, max_unreadable=3, image_size=8)
  source = input_pipeline.open_source(config.data, 'all')
  report = likelihood.evaluate(
    config, devices.replicate(params), source, num_images=12
  )
  assert (report['num_images'], report['num_unreadable']) == (9, 3)
  assert '3 more images could not be read' in likelihood.to_text(report)
  whole = input_pipeline.open_source(config.data, 'all[:3]')
  report = likelihood.evaluate(
    config, devices.replicate(params), whole, num_images=-1
  )
  assert report['num_unreadable'] == 0


def test_a_disk_error_is_retried_and_is_not_damage(folder, monkeypatch):
  monkeypatch.setattr(sources, 'RETRY_SECONDS', (0.0, 0.0))
  source = sources.FolderSource(folder_config(folder), 'all')
  expected = source[0]
  failures = iter([errno.EIO, errno.ESTALE])
  open_file = image_files.open_file

  def open_or_fail(path):
    if code := next(failures, None):
      raise OSError(code, 'the share is gone')
    return open_file(path)

  monkeypatch.setattr(image_files, 'open_file', open_or_fail)
  np.testing.assert_array_equal(source[0], expected)
  failures = iter([errno.EIO] * 100)
  with pytest.raises(errors.DiskError, match='000.png.*share is gone'):
    source[0]
  # A missing permission concerns only this file, as damage does.
  failures = iter([errno.EACCES])
  with pytest.raises(unreadable.UnreadableError, match='000.png'):
    source[0]


def test_patches_leave_out_a_damaged_photograph(folder, capsys):
  config = folder_config(folder, name='patches')
  whole = input_pipeline.open_source(config, 'train', is_training=True)
  assert len(whole) > 0 and '003.png' in capsys.readouterr().err
  with pytest.raises(errors.UserError, match='max_unreadable'):
    input_pipeline.open_source(config, 'test')


def test_a_fingerprint_depends_on_names_and_sizes(tmp_path):
  tiny.write_folder(tmp_path, 5)

  def fingerprint():
    return input_pipeline.open_training(folder_config(tmp_path)).fingerprint

  first = fingerprint()
  assert first == fingerprint() and first['num_images'] == 5
  data = (tmp_path / '002.png').read_bytes()
  (tmp_path / '002.png').write_bytes(data + b' ')
  longer = fingerprint()
  (tmp_path / '002.png').write_bytes(data)
  (tmp_path / '002.png').rename(tmp_path / '0021.png')
  renamed = fingerprint()
  assert len({x['sha256'] for x in (first, longer, renamed)}) == 3


def test_every_read_of_an_unreadable_picture_beyond_the_limit_fails(
  folder, monkeypatch
):
  monkeypatch.setattr(input_pipeline, 'MEMORY_LIMIT_BYTES', 0)
  config = folder_config(folder, max_unreadable=0)
  images = input_pipeline.open_training(config).images
  for _ in range(2):  # another thread may read it again
    with pytest.raises(errors.UserError, match='003.png.*max_unreadable'):
      images[3]
