"""Command line for research: training, evaluation, sampling and figures."""

import re
import sys

from absl import app, flags, logging

from pic_jax import modes
from pic_jax.runtime import compilation_cache, errors, freed_memory
from pic_jax.saved import config_check, earlier_versions

_MODE = flags.DEFINE_enum('mode', 'train', list(modes.MODES), 'Task to run.')
flags.DEFINE_string(
  'workdir', None, 'Folder of the run, with checkpoints, logs and figures.'
)
flags.DEFINE_string(
  'checkpoint',
  None,
  'Trained model: cifar10 or photos (which come with this package), a workdir, '
  'workdir@step or a .safetensors file. The default is --workdir. figures: '
  'give several models, separated by commas, to compare them.',
)
flags.DEFINE_string(
  'output',
  None,
  'eval, describe, benchmark: JSON file to which the numbers are also written. '
  'sample, figures: folder for the pictures; the default is --workdir. export: '
  '.safetensors file to write.',
)
flags.DEFINE_integer(
  'num_images', -1, 'eval: number of test images to score; -1 for all.'
)
flags.DEFINE_integer(
  'num_sampled_images',
  0,
  'eval: number of test images for which samples are also drawn and measured; '
  '-1 for all.',
)
flags.DEFINE_integer(
  'num_coded_images',
  0,
  'eval: number of test images that are also coded with a range coder; -1 for '
  'all.',
)
flags.DEFINE_integer(
  'num_feature_images',
  0,
  'eval: number of test images, -1 for all, of which one sample each is drawn. '
  'The distance of these samples from training images is measured in features '
  "of the model's backbone.",
)
flags.DEFINE_string(
  'film',
  'clean',
  'eval: name of the old film through which the model sees the test images. '
  'The names are in pic_jax/images/film.py.',
)
flags.DEFINE_string(
  'compare_with',
  '',
  "figures: folders of other methods' pictures of the test images, "
  'separated by commas.',
)
flags.DEFINE_list(
  'recommend',
  [],
  'export: sampling settings that pic-jax uses with these weights by default, '
  "for instance temperature=0.8,guidance=0.1. Without this flag, the model's "
  'settings are kept.',
)
flags.DEFINE_bool(
  'distributed',
  None,
  'Join the other processes of a run. By default, a process joins them if it '
  'finds JAX_COORDINATOR_ADDRESS, Slurm, Open MPI or a TPU host.',
)


def main(argv: list[str]) -> None:
  """Runs the task of --mode, and reports expected errors in one line."""
  # Orbax logs every file, and every failure once per thread. `--verbosity=0`
  # shows these messages.
  if not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.FATAL)
  freed_memory.keep()
  # A benchmark measures compile times, so it must not use the cache.
  if _MODE.value != 'benchmark':
    compilation_cache.enable()
  with errors.exit_on_error():
    if len(argv) > 1:
      raise errors.UserError(
        f'Unknown argument {argv[1]!r}. Flags start with --.'
      )
    sys.exit(modes.run(flags.FLAGS))


def parse_flags(argv: list[str]) -> list[str]:
  """Parses the flags and loads the config file.

  A mistake ends the process with exit code 2 and one line.

  Args:
    argv: the command line.

  Returns:
    The arguments that are not flags.
  """
  with errors.exit_on_error():
    try:
      rest = flags.FLAGS(argv)
      if flags.FLAGS.config is not None:
        # Only the first access raises the error of a missing config file.
        flags.FLAGS.config.keys()
      return rest
    # A config file may raise any exception.
    except Exception as error:
      # `str` puts quotes around the text of a KeyError.
      text = error.args[0] if isinstance(error, KeyError) else str(error)
      text = ' '.join(str(text).split()) or type(error).__name__
      if "flag 'config." in text and flags.FLAGS['config'].value is None:
        text += ': to set a field of a config, also give --config=FILE.'
      removed_text = earlier_versions.removed_flag(argv)
      if not removed_text:
        # Raises a clearer message if the field does not exist.
        for name in re.findall(r'^--?config\.([\w.]+)', '\n'.join(argv), re.M):
          config_check.check_path(name)
      raise errors.UserError(removed_text or text) from None


if __name__ == '__main__':
  from ml_collections import config_flags

  config_flags.DEFINE_config_file(
    'config', None, 'Python file that defines get_config().'
  )
  app.run(main, flags_parser=parse_flags)
