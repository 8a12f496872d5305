"""All cells of the notebook can be run in order."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

NOTEBOOKS = pathlib.Path(__file__).parents[2] / 'notebooks'


@pytest.mark.slow
def test_all_cells_of_the_notebook_can_be_run():
  text = (NOTEBOOKS / 'colorize.ipynb').read_text(encoding='utf-8')
  cells = json.loads(text)['cells']
  lines = [
    line
    for cell in cells
    if cell['cell_type'] == 'code'
    for line in (*''.join(cell['source']).splitlines(), '')
  ]
  # `%pip` works only in a notebook. The cell must not run it, because pic_jax
  # can be imported.
  lines = [
    line.replace('%pip', 'raise SystemExit #') if '%pip' in line else line
    for line in lines
  ]
  result = subprocess.run(
    [sys.executable, '-c', '\n'.join(lines)],
    cwd=NOTEBOOKS,
    env=os.environ
    | {
      'MPLBACKEND': 'Agg',
      'PYTHONPATH': str(NOTEBOOKS.parent),
      'XLA_FLAGS': '',
    },
    capture_output=True,
    text=True,
  )
  assert result.returncode == 0, result.stderr[-3000:]
  assert 'pixels that differ: ' in result.stdout
  assert 'bits/dim' in result.stdout
  assert not any(cell.get('outputs') for cell in cells)
