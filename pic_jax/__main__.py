"""Command line for photographs: `pic-jax`, or `python -m pic_jax`.

Each command imports the modules that it needs, so `--help` does not wait for
JAX.
"""

import argparse
import collections
import io
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from pic_jax.photos import options
from pic_jax.runtime import errors, paths

# Exit codes, in addition to those of `runtime/errors.py`.
SOME_FAILED, ALL_FAILED = 3, 4


class _Parser(argparse.ArgumentParser):
  """Parser that reports a mistake in one line."""

  def error(self, message: str) -> NoReturn:
    raise errors.UserError(f'{message} (see {self.prog} --help).')


def _path(text: str) -> pathlib.Path:
  """Converts an argument to a path, with `~` expanded."""
  return pathlib.Path(paths.expand(text))


def _add_app(commands: Any) -> None:
  """Adds the command `app` to the parser."""
  app = commands.add_parser('app', help='serve a web app for colouring')
  options.add_to(app, options.Model)
  app.add_argument(
    '--host',
    default='127.0.0.1',
    help='address to listen on (default: 127.0.0.1, only for this machine)',
  )
  app.add_argument(
    '--port',
    type=int,
    default=8000,
    help='port to listen on; 0 for any free port (default: 8000)',
  )
  app.add_argument(
    '--allow',
    action='append',
    default=[],
    metavar='NAME',
    help='also accept requests for this host name (of this machine or of a '
    'proxy in front of it); may be repeated',
  )
  app.add_argument(
    '--no-browser',
    action='store_true',
    help='do not open the web app in a browser',
  )


def _parser() -> argparse.ArgumentParser:
  """Builds the parser of all commands."""
  parser = _Parser(prog='pic-jax', description='Colours grey photographs.')
  commands = parser.add_subparsers(dest='command', required=True)
  colorize = commands.add_parser(
    'colorize', help='colour photographs and make a contact sheet'
  )
  colorize.add_argument(
    'inputs',
    nargs='+',
    type=_path,
    metavar='INPUT',
    help='photograph, or folder of photographs',
  )
  colorize.add_argument(
    '-o',
    '--output',
    type=_path,
    default='colourised',
    help='output folder (default: colourised)',
  )
  colorize.add_argument(
    '--hints',
    type=_path,
    metavar='FILE',
    help='known colours of one photograph: a .csv file with lines x,y,#rrggbb '
    'or x,y,#rrggbb,BRUSH (S, M or L), or a picture as large as the photograph '
    'that is transparent where colours are not known',
  )
  colorize.add_argument(
    '--shard',
    default='',
    metavar='N/COUNT',
    help='divide the files into COUNT parts, for COUNT machines, and colour '
    'only those of the Nth part. Afterwards, run the command once without '
    '--shard to make the report and the contact sheet',
  )
  for options_class in (options.Model, options.Settings, options.FileOptions):
    options.add_to(colorize, options_class)
  _add_app(commands)
  commands.add_parser('models', help='list the published models')
  warm_up = commands.add_parser(
    'warm-up',
    help='compile the network for all image shapes, to make later starts quick',
  )
  options.add_to(warm_up, options.Model)
  return parser


def _colorize(arguments: argparse.Namespace) -> int:
  """Colours all inputs, and returns the exit code."""
  from pic_jax.photos import colorize, colorize_folder, folder_job, shards
  from pic_jax.runtime import compilation_cache, terminal

  compilation_cache.prefer_fast_compilation()

  job = folder_job.Job(
    inputs=tuple(arguments.inputs),
    output=arguments.output,
    settings=options.taken_from(arguments, options.Settings),
    file_options=options.taken_from(arguments, options.FileOptions),
    hints=arguments.hints,
    shard=shards.parse(arguments.shard),
  )
  found_files = folder_job.find(job)
  colorizer = colorize.Colorizer.load(arguments.model)
  report = colorize_folder.run(job, found_files, colorizer)
  terminal.say(_summary(report) or 'No photograph belongs to this shard.')
  if job.shard.count > 1:
    terminal.say(
      'When all shards are done, run the same command without --shard.'
    )
  else:
    print(job.output / folder_job.CONTACT_SHEET)
  statuses = {entry['status'] for entry in report['files']}
  if statuses == {'failed'}:
    return ALL_FAILED
  return SOME_FAILED if 'failed' in statuses else 0


def _summary(report: dict[str, Any]) -> str:
  """Formats the number of photographs with each status."""
  counts = collections.Counter(entry['status'] for entry in report['files'])
  texts = {
    'done': 'coloured',
    'skipped': 'already coloured',
    'failed': 'failed',
  }
  return ', '.join(
    f'{counts[status]} {text}'
    for status, text in texts.items()
    if counts[status]
  )


def _serve_module() -> Any:
  """Imports the server of the web app, and makes XLA compile faster.

  Raises:
    UserError: if a package that the server needs is not installed.
  """
  try:
    from pic_jax.app import serve
  except ModuleNotFoundError as error:
    raise errors.UserError(
      f"`app` needs {error.name}: pip install '.[app]'."
    ) from None
  from pic_jax.runtime import compilation_cache

  compilation_cache.prefer_fast_compilation()
  return serve


def _app(arguments: argparse.Namespace) -> int:
  """Serves the web app until a signal ends the process."""
  serve = _serve_module()
  site = serve.boundary.Site(arguments.host, tuple(arguments.allow))
  serve.run(
    arguments.model, site, arguments.port, open_browser=not arguments.no_browser
  )
  return 0


def _warm_up(arguments: argparse.Namespace) -> int:
  """Compiles the network for every image shape that the web app uses."""
  _serve_module().warm_up(arguments.model)
  return 0


def _models(arguments: argparse.Namespace) -> int:
  """Prints each published model, with the title and the path of its card."""
  del arguments
  from pic_jax.saved import weights_file

  for name, path in weights_file.published().items():
    card = path.with_suffix('.md').read_text(encoding='utf-8')
    print(f'{name:<10} {card.splitlines()[0].partition(": ")[2]}')
    print(f'{"":<10} {path.with_suffix(".md")}')
  return 0


def main(arguments: Sequence[str] | None = None) -> None:
  """Parses the arguments, runs the command, and exits."""
  commands: dict[str, Any] = {
    'app': _app,
    'colorize': _colorize,
    'models': _models,
    'warm-up': _warm_up,
  }
  # File names may contain characters that the terminal cannot encode.
  for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
      stream.reconfigure(errors='backslashreplace')
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  with errors.exit_on_error():
    parsed = _parser().parse_args(arguments)
    sys.exit(commands[parsed.command](parsed))


if __name__ == '__main__':
  main()
