"""Trains, evaluates, samples, colourises: flags in, one call out."""

import os
import sys

from absl import app, flags, logging

from pic_jax import commands
from pic_jax.runtime import errors

COMPILATION_CACHE = os.path.expanduser('~/.cache/pic_jax')

_MODE = flags.DEFINE_enum('mode', 'train', list(commands.MODES), 'What to do.')
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Folder of the run: checkpoints, logs, figures.'
)
flags.DEFINE_string(
  'checkpoint',
  None,
  'Trained model: cifar10 or photos (they come with this package), a workdir, '
  'workdir@step or a .safetensors file; the default is --workdir.',
)
flags.DEFINE_string(
  'report',
  None,
  'eval, describe, benchmark, colorize: also write the numbers to this JSON '
  'file.',
)
flags.DEFINE_enum(
  'metrics',
  'likelihood',
  ('likelihood', 'all'),
  'eval: bits/dim only, or also draw samples and measure them.',
)
flags.DEFINE_string(
  'output',
  None,
  'sample, figures, colorize: folder for the pictures; export: .safetensors '
  'file.',
)
flags.DEFINE_string(
  'input',
  None,
  'colorize, figures with --folders: a photograph, or a folder of photographs.',
)
flags.DEFINE_enum(
  'figure',
  None,
  (
    'pixelwise',
    'grid',
    'diversity',
    'failures',
    'ablation',
    'compare',
    'curve',
  ),
  'figures: which one, see the README.',
)
flags.DEFINE_list(
  'checkpoints',
  [],
  'figures, with --figure=compare or curve: several trained models.',
)
flags.DEFINE_list(
  'folders',
  [],
  'figures, with --figure=compare: pictures of other methods, one folder for '
  'each, named like the photographs of --input.',
)
flags.DEFINE_bool(
  'overwrite',
  False,
  'colorize, export: make outputs again that are there.',
)
flags.DEFINE_enum(
  'distributed',
  'auto',
  ('auto', 'on', 'off'),
  'Join the other processes of a TPU pod, of Slurm, or those that '
  'JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID tell of; '
  'auto: if the environment speaks of them.',
)
flags.DEFINE_string(
  'profile_steps',
  None,
  'train: FIRST:LAST, steps to trace into WORKDIR/profile.',
)


def main(argv: list[str]) -> None:
  """Dispatches on --mode; a user's mistake ends in one line."""
  # Orbax tells of every file, and of a failure in every thread that it has;
  # `--verbosity=0` shows it.
  if not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.FATAL)
  # A benchmark times the compiler.
  if _MODE.value != 'benchmark':
    os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', COMPILATION_CACHE)
  with errors.one_line():
    if len(argv) > 1:
      raise errors.UserError(
        f'Unknown argument {argv[1]!r}; flags start with --.'
      )
    sys.exit(commands.run(flags.FLAGS))


def parse_flags(argv: list[str]) -> list[str]:
  """Parses flags and loads the config file; a mistake ends with exit 2."""
  try:
    rest = flags.FLAGS(argv)
    if flags.FLAGS.config is not None:
      flags.FLAGS.config.keys()  # reports a file that was not found
    return rest
  except Exception as error:  # a config file may raise anything
    # A KeyError quotes its text.
    text = error.args[0] if isinstance(error, KeyError) else str(error)
    text = ' '.join(str(text).split()) or type(error).__name__
    if "flag 'config." in text and flags.FLAGS['config'].value is None:
      text += ': a field of a config needs --config=FILE.'
    errors.fail(errors.UserError.exit_code, text)


if __name__ == '__main__':
  from ml_collections import config_flags

  config_flags.DEFINE_config_file('config', None, 'File with get_config().')
  app.run(main, flags_parser=parse_flags)
