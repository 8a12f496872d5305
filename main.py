"""Trains, evaluates and samples PIC: flags in, one call out."""

import json
import os
import pathlib
import re
import signal
import sys
from typing import Any

from absl import app, flags, logging

MODES = ('train', 'eval', 'sample', 'export', 'describe', 'benchmark')
EXIT_FAILED, EXIT_USAGE = 1, 2
COMPILATION_CACHE = os.path.expanduser('~/.cache/pic_jax')

_MODE = flags.DEFINE_enum('mode', 'train', MODES, 'What to do.')
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Folder of the run: checkpoints, logs, figures.'
)
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint',
  None,
  'Trained model: a workdir, workdir@step or a .safetensors file; the '
  'default is --workdir.',
)
_REPORT = flags.DEFINE_string(
  'report',
  None,
  'eval, describe, benchmark: also write the numbers to this JSON file.',
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'sample: folder for the grids; export: .safetensors file.'
)
_DISTRIBUTED = flags.DEFINE_enum(
  'distributed',
  'auto',
  ('auto', 'on', 'off'),
  'Join the other processes of a TPU pod, of Slurm, or those that '
  'JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID tell of; '
  'auto: if the environment speaks of them.',
)
_PROFILE_STEPS = flags.DEFINE_string(
  'profile_steps',
  None,
  'train: FIRST:LAST, steps to trace into WORKDIR/profile.',
)


def fail(code: int, message: object) -> None:
  """Ends with one line on stderr."""
  print(f'pic_jax: {message}', file=sys.stderr)
  sys.stderr.flush()
  # Threads of the input pipeline must not delay the end.
  os._exit(code)


def load_trained() -> tuple:
  """Parameters, config and step of --checkpoint (default --workdir).

  The model is the checkpoint's; with --config, all other sections are the
  given ones.
  """
  from pic_jax import checkpoint
  from pic_jax import config as config_lib

  source = _CHECKPOINT.value or _WORKDIR.value
  if not source:
    fail(EXIT_USAGE, f'--mode={_MODE.value} needs --checkpoint or --workdir.')
  params, config, step = checkpoint.load_trained(source)
  given = flags.FLAGS.config
  if given is not None:
    with config.unlocked():
      for section in ('data', 'evaluation', 'sampling'):
        config[section] = given[section]
    config_lib.check(config)
  return params, config, step


def profile_steps() -> tuple[int, int] | None:
  """--profile_steps as two numbers."""
  text = _PROFILE_STEPS.value
  if text is None:
    return None
  match = re.fullmatch(r'(\d+):(\d+)', text)
  if not match or not 1 <= int(match[1]) <= int(match[2]):
    fail(
      EXIT_USAGE,
      '--profile_steps must be FIRST:LAST with 1 <= FIRST <= LAST, '
      f'got {text!r}.',
    )
  return int(match[1]), int(match[2])


def show(text: str, report: dict) -> None:
  """Prints a result and writes --report, if it is asked for; process 0."""
  from pic_jax import devices

  if not devices.is_main():
    return
  print(text)
  if _REPORT.value:
    path = pathlib.Path(_REPORT.value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + '\n')


def run_train() -> None:
  """--mode=train."""
  from pic_jax import runtime, train

  for name, value in (
    ('--config', flags.FLAGS.config),
    ('--workdir', _WORKDIR.value),
  ):
    if value is None:
      fail(EXIT_USAGE, f'--mode=train needs {name}.')
  try:
    train.train_and_evaluate(
      flags.FLAGS.config, _WORKDIR.value, profile_steps()
    )
  except train.Stopped as stop:
    name = signal.Signals(stop.signal_number).name
    runtime.leave_processes()
    fail(
      128 + stop.signal_number,
      f'{name}: saved step {stop.step} in {_WORKDIR.value}; run the same '
      'command again to resume.',
    )


def run_eval() -> None:
  """--mode=eval: the test split."""
  from pic_jax import devices, evaluate, input_pipeline

  params, config, step = load_trained()
  source = input_pipeline.open_source(config.data, config.data.test_split)
  report = evaluate.Evaluator(config)(
    devices.replicate(params), source, config.evaluation.num_images
  )
  report |= {
    'step': step,
    'data': config.data.name,
    'split': config.data.test_split,
  }
  head = f'{config.data.name} {config.data.test_split}, step {step}'
  show(f'{head}\n{evaluate.to_text(report)}', report)


def run_sample() -> None:
  """--mode=sample: grids of grey | samples | original, test split."""
  from pic_jax import figures

  params, config, step = load_trained()
  folder = _OUTPUT.value or _WORKDIR.value or '.'
  for path in figures.sample_grids(params, config, step, folder):
    print(path)


def run_export() -> None:
  """--mode=export: averaged weights as one file."""
  from pic_jax import weights

  if not _OUTPUT.value:
    fail(EXIT_USAGE, '--mode=export needs --output=NAME.safetensors.')
  params, config, step = load_trained()
  weights.save(_OUTPUT.value, params, config, step)
  print(_OUTPUT.value)


def run_describe() -> None:
  """--mode=describe: a config, or a checkpoint with digests of its arrays."""
  from pic_jax import checkpoint, describe, input_pipeline

  config, source = flags.FLAGS.config, _CHECKPOINT.value
  if config is None and source is None:
    source = _WORKDIR.value
    if source is None:
      fail(EXIT_USAGE, '--mode=describe needs --config or --checkpoint.')
  saved, lines = {}, []
  if source:
    tree, its_config, step = checkpoint.load(source)
    config = config or its_config
    saved = {'step': step, 'sha256': checkpoint.group_digests(tree)}
    lines = [f'{source}, step {step}'] + [
      f'sha256 {digest} {name}' for name, digest in saved['sha256'].items()
    ]
  try:
    images = input_pipeline.open_images(config.data, config.data.train_split)
    num_images, trouble = len(images), []
  except input_pipeline.DataError as error:
    num_images, trouble = None, [str(error)]
  report = describe.run(config, num_images, _WORKDIR.value)
  text = '\n'.join([describe.to_text(report), *trouble, *lines])
  show(text, report | saved)


def run_benchmark() -> None:
  """--mode=benchmark: a config with initial weights, or a checkpoint."""
  from pic_jax import benchmark

  params, config, step = None, flags.FLAGS.config, None
  if _CHECKPOINT.value:
    params, config, step = load_trained()
  elif config is None:
    fail(EXIT_USAGE, '--mode=benchmark needs --config or --checkpoint.')
  report = benchmark.run(config, params, step)
  show(benchmark.to_text(report), report)


def heartbeat_seconds() -> int:
  """Of --config; without one, jax's own."""
  config = flags.FLAGS.config
  return config.training.heartbeat_seconds if config is not None else 100


def show_unraisable(unraisable: Any) -> None:
  """Leaves out what Orbax's writers say after one of them has failed."""
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)


def main(argv: list[str]) -> None:
  """Dispatches on --mode; a user's mistake ends in one line."""
  # Orbax tells of every file, and of a failure in every thread that it has;
  # `--verbosity=0` shows it.
  if not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.FATAL)
    sys.unraisablehook = show_unraisable
  # A benchmark times the compiler.
  if _MODE.value != 'benchmark':
    os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', COMPILATION_CACHE)
  if len(argv) > 1:
    fail(EXIT_USAGE, f'Unknown argument {argv[1]!r}; flags start with --.')
  for flag in (_WORKDIR, _CHECKPOINT, _OUTPUT, _REPORT):
    if '://' in (flag.value or ''):
      fail(
        EXIT_USAGE,
        f'--{flag.name} must be a path, got {flag.value}: mount the bucket, '
        'for instance with gcsfuse.',
      )
  signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
  from pic_jax import checkpoint, images, input_pipeline, run, runtime, weights
  from pic_jax import config as config_lib

  try:
    if flags.FLAGS.config is not None:
      config_lib.check(flags.FLAGS.config)
    runtime.join_processes(_DISTRIBUTED.value, heartbeat_seconds())
    {
      'train': run_train,
      'eval': run_eval,
      'sample': run_sample,
      'export': run_export,
      'describe': run_describe,
      'benchmark': run_benchmark,
    }[_MODE.value]()
  except (
    config_lib.ConfigError,
    input_pipeline.DataError,
    runtime.DistributedError,
  ) as error:
    fail(EXIT_USAGE, error)
  except (
    checkpoint.CheckpointError,
    images.ImageError,
    run.TrainingError,
    runtime.LockedError,
    weights.WeightsError,
  ) as error:
    fail(EXIT_FAILED, error)
  except OSError as error:
    fail(EXIT_FAILED, f'{error.filename or _WORKDIR.value}: {error.strerror}')
  except KeyboardInterrupt:
    fail(128 + signal.SIGINT, 'interrupted')


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
    fail(EXIT_USAGE, text)


if __name__ == '__main__':
  from ml_collections import config_flags

  config_flags.DEFINE_config_file('config', None, 'File with get_config().')
  app.run(main, flags_parser=parse_flags)
