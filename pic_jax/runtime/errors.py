"""Errors that end a command: one line and an exit code each.

0 done, 1 failed, 2 a mistake of the user, 128 + n ended by signal n. Colouring
adds 3 (some photographs failed) and 4 (all of them): `pic_jax/__main__.py`.
"""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any


class UserError(ValueError):
  """A mistake in a flag, a field or a folder; the text names the remedy."""

  exit_code = 2


class RunError(RuntimeError):
  """A valid request that cannot be carried out; the text says why."""

  exit_code = 1


class DiskError(RunError):
  """A failure of the disk or system, not of the contents of a file."""


class Stopped(Exception):
  """A signal ended the work; the text says what is saved.

  Attributes:
    exit_code: 128 + number of the signal.
  """

  def __init__(self, signal_number: int, text: str):
    super().__init__(f'{signal.Signals(signal_number).name}: {text}')
    self.exit_code = 128 + signal_number


def fail(code: int, message: object) -> None:
  """Ends the process with one line on stderr."""
  print(f'pic_jax: {message}', file=sys.stderr)
  _leave(code)


def in_one_line(text: object) -> str:
  """Escapes line breaks, control characters and undecodable bytes."""
  text = str(text)
  # In an ASCII locale, other letters of a file name arrive as bytes.
  with contextlib.suppress(UnicodeEncodeError):
    data = text.encode(errors='surrogateescape')
    text = data.decode(errors='backslashreplace')
  return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
  """Adds a path to an `OSError` that has none."""
  try:
    yield
  except OSError as error:
    error.filename = error.filename or os.fspath(path)
    raise


def _leave(code: int) -> None:
  """Ends the process now: threads of libraries must not delay or change it."""
  sys.stderr.flush()
  os._exit(code)


def _show_unraisable(unraisable: Any) -> None:
  """Hides follow-up errors of Orbax's writers after the first one."""
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)


def _name_stdout() -> None:
  """Makes errors of standard output name it."""
  write = sys.stdout.write

  def write_named(text: str) -> int:
    with naming('standard output'):
      return write(text)

  sys.stdout.write = write_named


@contextlib.contextmanager
def one_line() -> Iterator[None]:
  """Ends the process with one line instead of a traceback for expected errors.

  `sys.exit(code)` inside ends it with that code.
  """
  sys.unraisablehook = _show_unraisable
  _name_stdout()
  signal.signal(signal.SIGTERM, lambda number, _: _leave(128 + number))
  code = 0
  try:
    try:
      yield
    except SystemExit as end:
      code = end.code
    with naming('standard output'):
      sys.stdout.flush()  # so that a full disk is reported here
    if code:
      _leave(code)
  except (UserError, RunError, Stopped) as error:
    fail(error.exit_code, error)
  except BrokenPipeError:  # the reader of stdout is gone
    _leave(128 + getattr(signal, 'SIGPIPE', 13))  # which Windows lacks
  except OSError as error:
    reason = error.strerror
    if error.errno == errno.ENOSPC:
      reason = 'the disk is full. Make room; what was saved is kept.'
    name = error.filename or 'a file or device'
    fail(RunError.exit_code, f'{name}: {reason or error}')
  except KeyboardInterrupt:
    fail(128 + signal.SIGINT, 'interrupted')
