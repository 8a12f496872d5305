"""Imports between the folders of pic_jax, and the length of functions."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / 'pic_jax'
# Folders numbered from 1, as in "Architecture" in the README. Folders with the
# same number do not import from each other.
FOLDERS = (
  {'runtime'},
  {'images'},
  {'data', 'model'},
  {'sampling', 'saved'},
  {'evaluation', 'photos'},
  {'training'},
  {'app'},
)
NUMBERS = {
  folder: number
  for number, folders in enumerate(FOLDERS, 1)
  for folder in folders
}
TOP_LEVEL_FILES = {
  '__init__.py',
  '__main__.py',
  'benchmark.py',
  'modes.py',
}
FILES_IN_FOLDERS = sorted(PACKAGE.glob('*/*.py'))
ALL_FILES = sorted([*FILES_IN_FOLDERS, *PACKAGE.glob('*.py'), ROOT / 'main.py'])


def relative_path(path: pathlib.Path) -> str:
  return str(path.relative_to(ROOT))


def imports_of(path: pathlib.Path) -> set[str]:
  """Returns the dotted names that a file imports from pic_jax."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.ImportFrom):
      assert not node.level, f'{path}: a relative import'
      package = node.module or ''
      names |= {f'{package}.{alias.name}' for alias in node.names}
    elif isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
  return {name for name in names if name.split('.')[0] == 'pic_jax'}


@pytest.mark.parametrize('path', FILES_IN_FOLDERS, ids=relative_path)
def test_a_folder_imports_only_from_folders_with_lower_numbers(path):
  folder = path.parent.name
  for name in imports_of(path):
    imported = name.split('.')[1]
    assert imported in NUMBERS, f'{path}: {name} is in no numbered folder'
    is_allowed = imported == folder or NUMBERS[imported] < NUMBERS[folder]
    assert is_allowed, f'{path}: {name}'


@pytest.mark.parametrize('name', ['boundary', 'server', 'worker'])
def test_http_files_import_only_from_app_and_runtime(name):
  imported = imports_of(PACKAGE / 'app' / f'{name}.py')
  assert {name.split('.')[1] for name in imported} <= {'app', 'runtime'}


def test_all_folders_and_top_level_files_are_listed():
  assert {path.name for path in PACKAGE.glob('*.py')} <= TOP_LEVEL_FILES
  assert {path.parent.name for path in FILES_IN_FOLDERS} == set(NUMBERS)


@pytest.mark.parametrize('path', ALL_FILES, ids=relative_path)
def test_functions_have_at_most_60_lines(path):
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.FunctionDef):
      length = node.end_lineno - node.lineno + 1
      assert length <= 60, f'{node.name} has {length} lines'


def test_only_devices_uses_the_parallel_functions_of_jax():
  for path in ALL_FILES:
    if path.stem != 'devices':
      for word in ('pmap(', 'pmean', 'axis_index', 'addressable'):
        text = path.read_text(encoding='utf-8').replace('devices.pmap(', '')
        assert word not in text, f'{path.stem} uses {word}'
