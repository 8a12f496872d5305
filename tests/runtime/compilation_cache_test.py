"""The cache of compiled programs: its size, first uses and flags of XLA."""

import os
import subprocess
import sys
from importlib import metadata

import jax
import pytest

from pic_jax.runtime import compilation_cache
from tests import running


def test_pruning_deletes_the_least_recently_used_files(tmp_path):
  for age, name in enumerate(['new', 'old', 'older', 'oldest']):
    path = tmp_path / name
    path.write_bytes(b'0' * 100)
    os.utime(path, (1e9 - age, 1e9 - 10))
  os.utime(tmp_path / 'older', (2e9, 1e9))  # has been read since
  compilation_cache.prune(tmp_path, 250)
  assert sorted(path.name for path in tmp_path.iterdir()) == ['new', 'older']
  compilation_cache.prune(tmp_path, 200)
  assert len(list(tmp_path.iterdir())) == 2


def test_pruning_ignores_a_missing_folder(tmp_path):
  compilation_cache.prune(tmp_path / 'none', 0)
  assert not (tmp_path / 'none').exists()


def test_a_user_without_a_home_folder_has_no_cache(tmp_path):
  code = (
    'import pwd\n'
    'def getpwuid(uid): raise KeyError(uid)\n'
    'pwd.getpwuid = getpwuid\n'
    'import jax\n'
    'from pic_jax.runtime import compilation_cache\n'
    'compilation_cache.enable()\n'
    'print(jax.config.jax_compilation_cache_dir)\n'
    'print(jax.config.jax_persistent_cache_min_compile_time_secs)\n'
  )
  env = {name: x for name, x in os.environ.items() if name != 'HOME'}
  env.pop(compilation_cache.VARIABLE, None)
  env.pop(compilation_cache.MIN_SECONDS_OPTION.upper(), None)
  result = subprocess.run(
    [sys.executable, '-c', code],
    cwd=tmp_path,
    env=env | {'PYTHONPATH': str(running.ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert (result.stdout, result.stderr) == ('None\n0.1\n', '')
  assert not list(tmp_path.iterdir())


@pytest.fixture
def set_cache_folder():
  """Yields a function that sets the cache's folder; restores it at the end."""
  before = jax.config.jax_compilation_cache_dir
  yield lambda folder: jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_compilation_cache_dir', before)


def test_a_first_use_is_reported_once(
  tmp_path, set_cache_folder, monkeypatch, capsys
):
  set_cache_folder(str(tmp_path))
  for program in ('a', 'a', 'b'):
    for is_new_process in (False, True):
      if is_new_process:
        monkeypatch.setattr(compilation_cache, '_used', set())
      with compilation_cache.first_use(program, f'compiling {program}'):
        pass
  lines = capsys.readouterr().err.splitlines()
  assert lines == ['compiling a', 'compiling b']
  # With other flags of XLA, the program must be compiled again.
  monkeypatch.setenv('XLA_FLAGS', '--xla_backend_optimization_level=1')
  monkeypatch.setattr(compilation_cache, '_used', set())
  with compilation_cache.first_use('a', 'compiling it otherwise'):
    pass
  assert 'otherwise' in capsys.readouterr().err
  monkeypatch.setattr(compilation_cache, '_used', set())
  set_cache_folder(None)
  with compilation_cache.first_use('a', 'compiling again'):
    pass
  assert 'again' in capsys.readouterr().err


def test_flags_are_set_only_without_user_flags_and_accelerators(monkeypatch):
  monkeypatch.setattr(compilation_cache, 'ACCELERATORS', ())
  monkeypatch.setenv('XLA_FLAGS', '--of_the_user')
  compilation_cache.prefer_fast_compilation()
  assert os.environ['XLA_FLAGS'] == '--of_the_user'
  monkeypatch.delenv('XLA_FLAGS')
  monkeypatch.setattr(compilation_cache, 'ACCELERATORS', (__file__,))
  compilation_cache.prefer_fast_compilation()
  assert 'XLA_FLAGS' not in os.environ
  monkeypatch.setattr(compilation_cache, 'ACCELERATORS', ())
  compilation_cache.prefer_fast_compilation()
  assert compilation_cache.XLA_FLAGS in os.environ['XLA_FLAGS']


@pytest.mark.parametrize(
  ('version', 'is_known'), [('0.10.2', 1), ('0.20.0', 0)]
)
def test_jaxlib_gets_only_flags_that_its_version_knows(
  version, is_known, monkeypatch
):
  monkeypatch.setattr(compilation_cache, 'ACCELERATORS', ())
  monkeypatch.delenv('XLA_FLAGS', raising=False)
  monkeypatch.setattr(metadata, 'version', lambda name: version)
  compilation_cache.prefer_fast_compilation()
  flags = os.environ['XLA_FLAGS'].split()
  assert (compilation_cache.OLD_EMITTERS in flags) == is_known
  monkeypatch.delenv('XLA_FLAGS')
