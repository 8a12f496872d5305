"""The cache of compiled programs does not grow."""

import os
import subprocess
import sys
from importlib import metadata

import jax
import pytest

from pic_jax.runtime import compilation_cache
from tests import running


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


def test_a_user_without_a_home_has_no_cache(tmp_path):
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
def cache():
  """A function that sets the cache's folder, which is restored at the end."""
  before = jax.config.jax_compilation_cache_dir
  yield lambda folder: jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_compilation_cache_dir', before)


def test_a_first_use_is_reported_once(tmp_path, cache, monkeypatch, capsys):
  cache(str(tmp_path))
  for program in ('a', 'a', 'b'):
    for is_new_process in (False, True):
      if is_new_process:
        monkeypatch.setattr(compilation_cache, '_used', set())
      with compilation_cache.first_use(program, f'compiling {program}'):
        pass
  told = capsys.readouterr().err.splitlines()
  assert told == ['compiling a', 'compiling b']
  # Other flags of XLA make other programs.
  monkeypatch.setenv('XLA_FLAGS', '--xla_backend_optimization_level=1')
  monkeypatch.setattr(compilation_cache, '_used', set())
  with compilation_cache.first_use('a', 'compiling it otherwise'):
    pass
  assert 'otherwise' in capsys.readouterr().err
  monkeypatch.setattr(compilation_cache, '_used', set())
  cache(None)
  with compilation_cache.first_use('a', 'compiling again'):
    pass
  assert 'again' in capsys.readouterr().err


def test_flags_of_the_user_and_accelerators_stay_as_they_are(monkeypatch):
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
def test_versions_of_jaxlib_get_only_flags_that_they_know(
  version, is_known, monkeypatch
):
  monkeypatch.setattr(compilation_cache, 'ACCELERATORS', ())
  monkeypatch.delenv('XLA_FLAGS', raising=False)
  monkeypatch.setattr(metadata, 'version', lambda name: version)
  compilation_cache.prefer_fast_compilation()
  flags = os.environ['XLA_FLAGS'].split()
  assert (compilation_cache.OLD_EMITTERS in flags) == is_known
  monkeypatch.delenv('XLA_FLAGS')
