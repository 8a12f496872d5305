"""Each folder of the house imports only folders on floors below it."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / 'pic_jax'
FLOORS = (  # from the ground up; folders of one row are independent
  {'runtime'},
  {'images'},
  {'data', 'model'},
  {'sampling', 'saved'},
  {'evaluation', 'photos'},
  {'training'},
  {'app'},
)
LEVEL = {name: level for level, row in enumerate(FLOORS) for name in row}
LOOSE = {
  '__init__.py',
  '__main__.py',
  'benchmark.py',
  'modes.py',
}
ROOMS = sorted(PACKAGE.glob('*/*.py'))
MODULES = sorted([*ROOMS, *PACKAGE.glob('*.py'), ROOT / 'main.py'])


def name_of(path: pathlib.Path) -> str:
  return str(path.relative_to(ROOT))


def imports_of(path: pathlib.Path) -> set[str]:
  """Dotted names of what a file imports from this package."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.ImportFrom):
      assert not node.level, f'{path}: a relative import'
      package = node.module or ''
      found |= {f'{package}.{alias.name}' for alias in node.names}
    elif isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
  return {name for name in found if name.split('.')[0] == 'pic_jax'}


@pytest.mark.parametrize('path', ROOMS, ids=name_of)
def test_a_folder_imports_only_lower_floors(path):
  here = path.parent.name
  for name in imports_of(path):
    there = name.split('.')[1]
    assert there in LEVEL, f'{path}: {name} belongs to no room'
    assert there == here or LEVEL[there] < LEVEL[here], f'{path}: {name}'


@pytest.mark.parametrize('name', ['boundary', 'server', 'worker'])
def test_http_knows_no_model(name):
  path = PACKAGE / 'app' / f'{name}.py'
  rooms = {name.split('.')[1] for name in imports_of(path)}
  assert rooms <= {'app', 'runtime'}


def test_every_file_has_a_room():
  assert {path.name for path in PACKAGE.glob('*.py')} <= LOOSE
  assert {path.parent.name for path in ROOMS} == set(LEVEL)


@pytest.mark.parametrize('path', MODULES, ids=name_of)
def test_functions_stay_short(path):
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.FunctionDef):
      length = node.end_lineno - node.lineno + 1
      assert length <= 60, f'{node.name} has {length} lines'


def test_only_devices_knows_how_work_is_mapped():
  for path in MODULES:
    if path.stem != 'devices':
      for word in ('pmap(', 'pmean', 'axis_index', 'addressable'):
        text = path.read_text(encoding='utf-8').replace('devices.pmap(', '')
        assert word not in text, f'{path.stem} uses {word}'
