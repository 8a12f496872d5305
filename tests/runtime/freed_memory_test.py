"""Freed memory is used again without page faults."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from pic_jax.runtime import freed_memory
kept = {keep} and freed_memory.keep()
faults = []
for _ in range(3):
  arrays = [np.ones(250_000, np.float32) for _ in range(100)]
  del arrays
  faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(int(kept), faults[2] - faults[1])
"""


def _run(keep: bool) -> tuple[int, int]:
  """Returns whether memory is kept, and page faults of refilling 100 MB."""
  program = PROGRAM.format(keep=keep)
  output = subprocess.check_output([sys.executable, '-c', program], text=True)
  kept, faults = map(int, output.split())
  return kept, faults


def test_filling_freed_memory_causes_no_page_faults():
  kept, faults = _run(keep=True)
  if not kept:
    pytest.skip('this system has no glibc')
  assert faults < 100 < 1000 < _run(keep=False)[1]
