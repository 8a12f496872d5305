"""Installation: what colouring needs, and what training adds."""

import pathlib
import subprocess
import sys
import tomllib
import types

import pytest

import pic_jax
from pic_jax import modes
from pic_jax.runtime import errors

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))
PROJECT = PROJECT['project']
# Modules that `pip install .` does not install.
NOT_INSTALLED = (
  'array_record',
  'grain',
  'matplotlib',
  'tensorboardX',
  'tensorflow_datasets',
)
# Modules that flax installs, but that colouring must not spend time importing.
NOT_IMPORTED = ('optax', 'orbax', 'tensorstore')
# Colours the photograph argv[1] into the folder argv[2]. Hides the modules of
# argv[3], and fails if one of those in argv[4] was imported.
COLOUR = """
import sys

class Absent:
  def find_spec(self, name, path=None, target=None):
    if name.split('.')[0] in sys.argv[3].split(','):
      raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import pic_jax.app.serve
from pic_jax import __main__
try:
  __main__.main(['colorize', sys.argv[1], '-o', sys.argv[2], '--num-samples=1'])
except SystemExit as end:
  assert not end.code, end.code
found = {name.split('.')[0] for name in sys.modules}
print(*found & set(sys.argv[4].split(',')), file=sys.stderr)
sys.exit(len(found & set(sys.argv[4].split(','))))
"""


def requirements(name: str) -> set[str]:
  """Reads the requirements of a file, without comments and options."""
  lines = (ROOT / name).read_text(encoding='utf-8').splitlines()
  return {line for line in lines if line and line[0] not in '#-'}


def test_requirements_agree_with_pyproject():
  extras = PROJECT['optional-dependencies']
  training = {*PROJECT['dependencies'], *extras['train']}
  assert requirements('requirements.txt') == training
  tests = {*extras['dev'], *extras['app']} - {'pic_jax[app,train]'}
  assert requirements('tests/requirements.txt') <= tests


@pytest.mark.slow
def test_a_photograph_is_coloured_without_the_packages_for_training(tmp_path):
  names = ','.join(NOT_INSTALLED), ','.join(NOT_IMPORTED)
  photo = ROOT / 'photos' / 'chelsea.png'
  command = [sys.executable, '-c', COLOUR, photo, tmp_path, *names]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'chelsea.png.0.png').exists()


def test_the_package_has_the_version_of_pyproject():
  assert pic_jax.__version__ == PROJECT['version']


def test_a_mode_that_lacks_a_package_says_what_to_install(monkeypatch):
  def fail(flags):
    raise ModuleNotFoundError("No module named 'grain'", name='grain')

  monkeypatch.setitem(modes.MODES, 'eval', fail)
  flags = types.SimpleNamespace(
    mode='eval', config=None, distributed=False, output=None, workdir=None
  )
  flags.checkpoint = 'cifar10'
  with pytest.raises(errors.UserError, match=r"grain: pip install '\.\[train"):
    modes.run(flags)
