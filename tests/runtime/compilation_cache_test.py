"""The cache of compiled programs does not grow."""

import os

from pic_jax.runtime import compilation_cache


def test_what_was_read_longest_ago_is_forgotten(tmp_path):
  for age, name in enumerate(['new', 'old', 'older', 'oldest']):
    path = tmp_path / name
    path.write_bytes(b'0' * 100)
    os.utime(path, (1e9 - age, 1e9 - 10))
  os.utime(tmp_path / 'older', (2e9, 1e9))  # is read again
  compilation_cache.prune(tmp_path, 250)
  assert sorted(path.name for path in tmp_path.iterdir()) == ['new', 'older']
  compilation_cache.prune(tmp_path, 200)
  assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_not_there_is_empty(tmp_path):
  compilation_cache.prune(tmp_path / 'none', 0)
  assert not (tmp_path / 'none').exists()
