"""Each floor of the house imports only floors strictly below it."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FLOORS = {
  # Pure functions; devices and logs.
  'color': 0,
  'logistic_mixture': 0,
  'metrics': 0,
  'picture_grid': 0,
  'pixels': 0,
  'regression': 0,
  'resize': 0,
  'contact_sheet': 0,
  'devices': 0,
  'digests': 0,
  'progress': 0,
  'runtime': 0,
  'timing': 0,
  # Image files.
  'encode': 1,
  'images': 2,
  'datasets': 3,
  # Building blocks.
  'calibration': 1,
  'layers': 1,
  'classification': 1,
  'guided': 1,
  'causal': 2,
  # The two networks, and the decoder pixel by pixel.
  'embedding': 3,
  'decoder': 3,
  'incremental': 4,
  # The model and its data.
  'model': 5,
  'input_pipeline': 5,
  # State and step; drawing; checking a config.
  'train_state': 6,
  'rebalancing': 6,
  'fields': 6,
  'sample': 6,
  'config': 7,
  'sampler': 7,
  'sample_scores': 7,
  # Photographs of any size; what is kept; a page of pictures.
  'any_size': 7,
  'settings': 7,
  # Files and scores.
  'weights': 8,
  'checkpoint': 8,
  'trained_model': 9,
  'evaluate': 9,
  'study': 9,
  'paper_figures': 10,
  'learning_curve': 11,
  # A training run and its workdir; what it is; the stages of the benchmark.
  'workdir': 10,
  'describe': 10,
  'run': 10,
  'stages': 10,
  'sample_metrics': 10,
  # One photograph in, several out.
  'colorize': 10,
  'jobs': 10,
  # What a user asks for.
  'colorize_folder': 11,
  'train': 11,
  'figures': 11,
  'compare': 11,
  'benchmark': 11,
  # What each --mode does.
  'flag_values': 12,
  'commands': 13,
}
MODULES = sorted((ROOT / 'pic_jax').glob('*.py'))


def imports_of(path: pathlib.Path) -> set[str]:
  """Modules of this package that a file imports."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module == 'pic_jax':
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      assert not node.module.startswith('pic_jax.'), f'{path}: import modules'
    elif isinstance(node, ast.Import):
      for alias in node.names:
        assert not alias.name.startswith('pic_jax'), f'{path}: import from'
  return found


@pytest.mark.parametrize('path', MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_floors_below(path):
  if path.stem == '__init__':
    assert not imports_of(path)
    return
  for name in imports_of(path):
    assert FLOORS[name] < FLOORS[path.stem], f'{path.stem} imports {name}'


def test_every_module_has_a_floor():
  assert {path.stem for path in MODULES} - {'__init__'} == set(FLOORS)


@pytest.mark.parametrize('path', MODULES, ids=lambda path: path.stem)
def test_files_and_functions_stay_short(path):
  text = path.read_text()
  assert text.count('\n') <= 300
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.FunctionDef):
      length = node.end_lineno - node.lineno + 1
      assert length <= 60, f'{node.name} has {length} lines'


def test_only_devices_knows_how_work_is_mapped():
  for path in MODULES:
    if path.stem != 'devices':
      for word in ('pmap(', 'pmean', 'axis_index', 'addressable'):
        text = path.read_text().replace('devices.pmap(', '')
        assert word not in text, f'{path.stem} uses {word}'
