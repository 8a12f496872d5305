"""Expected errors give one line and an exit code; bugs give a traceback."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
OUT_OF_MEMORY = (
  'out of memory: use smaller batches or photographs, fewer samples, or more '
  'devices.'
)
PROGRAM = """
import os, signal, sys
from pic_jax.runtime import errors
with errors.exit_on_error():
  {}
"""


def run(statement: str, **kwargs) -> subprocess.CompletedProcess:
  """Runs a statement inside `errors.exit_on_error`, in another process."""
  return subprocess.run(
    [sys.executable, '-c', PROGRAM.format(statement)],
    cwd=ROOT,
    stderr=subprocess.PIPE,
    text=True,
    check=False,
    **kwargs,
  )


@pytest.mark.parametrize(
  'statement,code,line',
  [
    ('raise errors.UserError("`a` must be 3.")', 2, '`a` must be 3.'),
    ('raise errors.RunError("no")', 1, 'no'),
    ('raise errors.Stopped(15, "saved.")', 143, 'SIGTERM: saved.'),
    ('open("none")', 1, 'none: No such file or directory'),
    ('raise KeyboardInterrupt', 130, 'interrupted'),
    ('raise MemoryError', 1, OUT_OF_MEMORY),
    ('raise RuntimeError("RESOURCE_EXHAUSTED: 5 GiB")', 1, OUT_OF_MEMORY),
    (
      'raise OSError(37, "No locks available")',
      1,
      'a file or device: No locks available',
    ),
  ],
)
def test_an_expected_error_is_one_line(statement, code, line):
  result = run(statement)
  assert (result.returncode, result.stderr) == (code, f'pic_jax: {line}\n')


@pytest.mark.parametrize(
  'statement,code',
  [('pass', 0), ('sys.exit(3)', 3), ('sys.exit(0)', 0)]
  + [('os.kill(os.getpid(), signal.SIGTERM)', 143)],
)
def test_other_ways_to_end_print_nothing(statement, code):
  result = run(statement)
  assert (result.returncode, result.stderr) == (code, '')


def test_a_closed_terminal_does_not_change_the_exit_code():
  terminal, stderr = os.openpty()
  os.close(terminal)
  result = subprocess.run(
    [
      sys.executable,
      '-c',
      PROGRAM.format('raise errors.Stopped(signal.SIGHUP, "saved.")'),
    ],
    cwd=ROOT,
    stderr=stderr,
    check=False,
  )
  os.close(stderr)
  assert result.returncode == 129


def test_a_bug_keeps_its_traceback():
  result = run('1 / 0')
  assert result.returncode == 1 and 'ZeroDivisionError' in result.stderr


def test_a_full_disk_behind_stdout_is_one_line():
  with open('/dev/full', 'w') as full:
    result = run('print("done")', stdout=full)
  assert result.returncode == 1
  assert result.stderr.startswith('pic_jax: standard output: the disk is full')
  assert result.stderr.count('\n') == 1


def test_the_error_for_a_full_disk_names_the_file():
  result = run("""
  with errors.with_file_name('/dev/full'), open('/dev/full', 'w') as file:
    file.write('x')
    file.flush()
  """)
  assert result.returncode == 1
  assert result.stderr.startswith('pic_jax: /dev/full: the disk is full')


@pytest.mark.parametrize('end', ['', '; sys.exit(3)'])
def test_a_closed_pipe_at_stdout_ends_the_program_quietly(end):
  reading, writing = os.pipe()
  os.close(reading)
  result = run(f'print("done"){end}', stdout=writing)
  os.close(writing)
  assert (result.returncode, result.stderr) == (141, '')
