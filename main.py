"""Command line of training, evaluation, sampling and figures."""

import re
import sys

from absl import app, flags, logging

from pic_jax import commands
from pic_jax.runtime import compilation_cache, errors, freed_memory
from pic_jax.saved import config_check, earlier_versions

_MODE = flags.DEFINE_enum('mode', 'train', list(commands.MODES), 'What to do.')
flags.DEFINE_string(
  'workdir', None, 'Folder of the run: checkpoints, logs, figures.'
)
flags.DEFINE_string(
  'checkpoint',
  None,
  'Trained model: cifar10 or photos (they come with this package), a workdir, '
  'workdir@step or a .safetensors file; the default is --workdir. figures: '
  'several, separated by commas, are compared.',
)
flags.DEFINE_string(
  'output',
  None,
  'eval, describe, benchmark: also write the numbers to this JSON file; '
  'sample, figures: folder for the pictures, default --workdir; export: '
  '.safetensors file.',
)
flags.DEFINE_integer(
  'num_images', -1, 'eval: score the first test images only; -1: all.'
)
flags.DEFINE_integer(
  'num_sampled_images',
  0,
  'eval: also draw and measure samples of the first test images; -1: all.',
)
flags.DEFINE_integer(
  'num_coded_images',
  0,
  'eval: also code the first test images by a range coder; -1: all.',
)
flags.DEFINE_integer(
  'num_feature_images',
  0,
  'eval: also the distance of samples of the first test images from training '
  "images, in features of the model's backbone; -1: all.",
)
flags.DEFINE_string(
  'film',
  'clean',
  'eval: show the images, and what is sampled, through one of the old films '
  'of images/film.py.',
)
flags.DEFINE_string(
  'compare_with',
  '',
  "figures: folders X,Y of other methods' pictures of the test images.",
)
flags.DEFINE_list(
  'recommend',
  [],
  'export: how pic-jax should draw photographs with these weights, for '
  'instance temperature=0.8,guidance=0.1; by default as before the export.',
)
flags.DEFINE_bool(
  'distributed',
  None,
  'Join the other processes of a run; by default if a launcher is detected: '
  'JAX_COORDINATOR_ADDRESS, Slurm, Open MPI, a TPU host.',
)


def main(argv: list[str]) -> None:
  """Dispatches on --mode; a user's mistake ends in one line."""
  # Orbax logs every file, and a failure once per thread; `--verbosity=0` shows
  # that.
  if not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.FATAL)
  freed_memory.keep()
  # A benchmark times the compiler.
  if _MODE.value != 'benchmark':
    compilation_cache.enable()
  with errors.one_line():
    if len(argv) > 1:
      raise errors.UserError(
        f'Unknown argument {argv[1]!r}; flags start with --.'
      )
    sys.exit(commands.run(flags.FLAGS))


def parse_flags(argv: list[str]) -> list[str]:
  """Parses flags and loads the config file; a mistake ends with exit 2."""
  with errors.one_line():
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
      removed = earlier_versions.removed_flag(argv)
      if not removed:
        for name in re.findall(r'^--?config\.([\w.]+)', '\n'.join(argv), re.M):
          config_check.check_path(name)
      raise errors.UserError(removed or text) from None


if __name__ == '__main__':
  from ml_collections import config_flags

  config_flags.DEFINE_config_file('config', None, 'File with get_config().')
  app.run(main, flags_parser=parse_flags)
