"""Errors that end a command with one line on stderr and an exit code.

The exit codes are 0 (done), 1 (failed), 2 (a mistake of the user) and 128 + n
(ended by signal n). `pic_jax/__main__.py` adds 3 (some photographs failed) and
4 (all photographs failed).
"""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any


class UserError(ValueError):
  """A mistake of the user in a flag, a config field or a folder.

  The text says what to change.
  """

  exit_code = 2


class RunError(RuntimeError):
  """A valid request that cannot be carried out, for the reason in the text."""

  exit_code = 1


class DiskError(RunError):
  """A failure of the disk or the operating system, not of a file's contents."""


class Stopped(Exception):
  """Error for work that a signal ended early.

  Attributes:
    exit_code: 128 + number of the signal.
  """

  def __init__(self, signal_number: int, text: str):
    """Creates the error.

    Args:
      signal_number: number of the signal, such as `signal.SIGTERM`.
      text: sentence that says what has been saved.
    """
    super().__init__(f'{signal.Signals(signal_number).name}: {text}')
    self.exit_code = 128 + signal_number


def fail(code: int, message: object) -> None:
  """Ends the process with an exit code and one line on stderr."""
  with contextlib.suppress(OSError):  # the terminal may be closed
    print(f'pic_jax: {message}', file=sys.stderr)
  _leave(code)


def in_one_line(text: object) -> str:
  """Makes a text printable on one line.

  Line breaks, control characters and bytes that are not UTF-8 are escaped.
  """
  text = str(text)
  # In an ASCII locale, Python turns each non-ASCII byte of a file name into a
  # surrogate.
  with contextlib.suppress(UnicodeEncodeError):
    data = text.encode(errors='surrogateescape')
    text = data.decode(errors='backslashreplace')
  return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextlib.contextmanager
def with_file_name(path: str | os.PathLike) -> Iterator[None]:
  """Sets `path` as the file name of an `OSError` that names no file."""
  try:
    yield
  except OSError as error:
    error.filename = error.filename or os.fspath(path)
    raise


def _leave(code: int) -> None:
  """Ends the process at once, without waiting for the threads of libraries."""
  with contextlib.suppress(OSError):
    sys.stderr.flush()
  os._exit(code)


def _show_unraisable(unraisable: Any) -> None:
  """Prints an unraisable error, unless it only follows from an earlier error.

  After an earlier error, Orbax's writers raise 'Event loop is closed'.
  """
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)


def _name_stdout() -> None:
  """Makes failed writes to stdout raise errors that name standard output."""
  write = sys.stdout.write

  def write_named(text: str) -> int:
    with with_file_name('standard output'):
      return write(text)

  sys.stdout.write = write_named


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
  """Reports expected errors inside the context in one line, not a traceback.

  The process then ends at once with the error's exit code. It also ends at
  once on SIGTERM, and on `sys.exit(code)` with a code that is not 0.
  """
  sys.unraisablehook = _show_unraisable
  _name_stdout()
  signal.signal(signal.SIGTERM, lambda number, _: _leave(128 + number))
  code = 0
  try:
    try:
      yield
    except SystemExit as end:
      if isinstance(end.code, str):
        raise  # Python prints it
      code = end.code
    with with_file_name('standard output'):
      sys.stdout.flush()  # reports a full disk now, not at exit
    if code:
      _leave(code)
  except (UserError, RunError, Stopped) as error:
    fail(error.exit_code, error)
  except BrokenPipeError:  # the program that reads stdout has ended
    _leave(128 + getattr(signal, 'SIGPIPE', 13))  # Windows has no SIGPIPE
  except OSError as error:
    reason = error.strerror
    if error.errno == errno.ENOSPC:
      reason = 'the disk is full. Make room; files already saved are kept.'
    name = error.filename or 'a file or device'
    fail(RunError.exit_code, f'{name}: {reason or error}')
  except KeyboardInterrupt:
    fail(128 + signal.SIGINT, 'interrupted')
  except (MemoryError, RuntimeError) as error:
    # When a device runs out of memory, JAX raises a RuntimeError that contains
    # 'RESOURCE_EXHAUSTED'.
    is_memory = isinstance(error, MemoryError)
    if not is_memory and 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    fail(
      RunError.exit_code,
      'out of memory: use smaller batches or photographs, fewer samples, or '
      'more devices.',
    )
