"""Runs the unit tests of the JavaScript, which need no browser."""

import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.mark.skipif(not shutil.which('node'), reason='no node')
def test_the_javascript_passes_its_unit_tests():
  done = subprocess.run(
    ['node', '--test', str(HERE / 'unit')],
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert done.returncode == 0, done.stdout[-4000:]
