"""What each --mode does with the flags: results on stdout, an exit code back.

Modules are imported where they are needed: no mode waits for those of others.
"""

import pathlib
from typing import Any

from pic_jax import flag_values
from pic_jax.runtime import errors

EXIT_DONE, EXIT_SOME_FAILED, EXIT_NONE = 0, 3, 4


def train(values: Any) -> None:
  """--mode=train."""
  from pic_jax.runtime import distributed
  from pic_jax.training import loop

  for name in ('config', 'workdir'):
    if getattr(values, name) is None:
      raise errors.UserError(f'--mode=train needs --{name}.')
  steps = flag_values.profile_steps(values.profile_steps)
  try:
    loop.train_and_evaluate(values.config, values.workdir, steps)
  except errors.Stopped:
    distributed.leave_processes()
    raise


def evaluate(values: Any) -> None:
  """--mode=eval: the test split."""
  from pic_jax.data import input_pipeline
  from pic_jax.evaluation import code_length, likelihood, sample_report
  from pic_jax.runtime import devices

  params, config, step = flag_values.load_trained(values)
  source = input_pipeline.open_source(config.data, config.data.test_split)
  params = devices.replicate(params)
  sample_evaluator = None  # made before the long work, as it may refuse
  if values.metrics == 'all':
    sample_evaluator = sample_report.SampleEvaluator(config)
  coder = None  # the same
  if config.evaluation.num_coded_images:
    coder = code_length.Coder(config)
  report = likelihood.Evaluator(config)(
    params, source, config.evaluation.num_images
  )
  text = likelihood.to_text(report)
  if sample_evaluator:
    found = sample_evaluator(
      params, source, config.evaluation.num_sampled_images
    )
    report |= found
    text = f'{text}\n{sample_report.to_text(found)}'
  if coder:
    found = coder(params, source, config.evaluation.num_coded_images)
    report |= found
    text = f'{text}\n{code_length.to_text(found)}'
  report |= {
    'step': step,
    'data': config.data.name,
    'split': config.data.test_split,
  }
  head = f'{config.data.name} {config.data.test_split}, step {step}'
  flag_values.show(values, f'{head}\n{text}', report)


def sample(values: Any) -> None:
  """--mode=sample: grids of grey | samples | original, test split."""
  from pic_jax.evaluation import sample_grids

  params, config, step = flag_values.load_trained(values)
  folder = values.output or values.workdir or '.'
  for path in sample_grids.sample_grids(params, config, step, folder):
    print(path)


def figures(values: Any) -> None:
  """--mode=figures: the figures of the paper, on the test split."""
  from pic_jax.evaluation import figures as paper_figures
  from pic_jax.evaluation import learning_curve
  from pic_jax.runtime import devices

  names = [*paper_figures.FIGURES, 'compare', 'curve']
  if values.figure not in names:
    raise errors.UserError(
      f'--figure must be one of {", ".join(names)}, got {values.figure!r}.'
    )
  for name, users in {
    'folders': ['compare'],
    'input': ['compare'],
    'checkpoints': ['compare', 'curve'],
  }.items():
    if getattr(values, name) and values.figure not in users:
      raise errors.UserError(f'--{name} needs --figure={" or ".join(users)}.')
  if devices.num_processes() > 1:
    raise errors.UserError(
      '--mode=figures runs in one process: --distributed=off.'
    )
  folder = pathlib.Path(values.output or values.workdir or '.')
  name = 'compare_folders' if values.folders else values.figure
  path = folder / 'figures' / f'{name}.png'
  if values.figure == 'compare':
    _compare(values, path)
  elif values.figure == 'curve':
    runs = values.checkpoints or [flag_values.source_of(values)]
    learning_curve.draw([pathlib.Path(run) for run in runs], path)
  else:
    params, config, _ = flag_values.load_trained(values)
    paper_figures.make(values.figure, params, config, path)
  print(path)


def _compare(values: Any, path: pathlib.Path) -> None:
  """--figure=compare: of several models, or of folders of pictures."""
  from pic_jax.photos import compare
  from pic_jax.saved import trained_model

  names = values.checkpoints
  if bool(values.folders) == bool(names) or (names and len(names) < 2):
    raise errors.UserError(
      '--figure=compare needs either --checkpoints=A,B, or --folders=X,Y with '
      f'--input, got {names or "no"} checkpoints and {values.folders or "no"} '
      'folders.'
    )
  if names:
    trained = [trained_model.load_trained(name)[:2] for name in names]
    flag_values.use_sections(values, trained[0][1])
    compare.models(trained, path)
  elif not values.input:
    raise errors.UserError('--folders needs --input, the original photographs.')
  else:
    params, config, _ = flag_values.load_trained(values)
    folders = [pathlib.Path(name) for name in values.folders]
    compare.folders(params, config, pathlib.Path(values.input), folders, path)


def colorize(values: Any) -> None:
  """--mode=colorize: somewhere else now."""
  raise errors.UserError(
    '--mode=colorize went: use `pic-jax colorize INPUT... -o OUT` (or '
    '`python -m pic_jax colorize`).'
  )


def export(values: Any) -> None:
  """--mode=export: averaged weights as one file."""
  from pic_jax.saved import weights_file

  if not values.output:
    raise errors.UserError('--mode=export needs --output=NAME.safetensors.')
  output = pathlib.Path(values.output)
  for path in (output, output.with_suffix('.json')):
    if path.exists() and not values.overwrite:
      raise errors.UserError(
        f'{path} exists: another --output, or --overwrite.'
      )
  params, config, step = flag_values.load_trained(values)
  weights_file.save(values.output, params, config, step)
  print(values.output)


def describe(values: Any) -> None:
  """--mode=describe: a config, or a checkpoint with digests of its arrays."""
  from pic_jax.data import input_pipeline
  from pic_jax.saved import digests, trained_model
  from pic_jax.training import description

  config, source = values.config, values.checkpoint
  if config is None and source is None:
    if values.workdir is None:
      raise errors.UserError('--mode=describe needs --config or --checkpoint.')
    source = flag_values.source_of(values)
  saved, lines = {}, []
  if source:
    tree, its_config, step = trained_model.load(source)
    config = config or its_config
    saved = {'step': step, 'sha256': digests.of_state(tree)}
    lines = [f'{source}, step {step}'] + [
      f'sha256 {digest} {name}' for name, digest in saved['sha256'].items()
    ]
  try:
    images = input_pipeline.open_images(config.data, config.data.train_split)
    num_images, trouble = len(images), []
  except errors.UserError as error:
    num_images, trouble = None, [str(error)]
  report = description.run(config, num_images, values.workdir)
  text = '\n'.join([description.to_text(report), *trouble, *lines])
  flag_values.show(values, text, report | saved)


def benchmark(values: Any) -> None:
  """--mode=benchmark: a config with initial weights, or a checkpoint."""
  from pic_jax import benchmark as benchmark_lib

  params, config, step = None, values.config, None
  if values.checkpoint:
    params, config, step = flag_values.load_trained(values)
  elif config is None:
    raise errors.UserError('--mode=benchmark needs --config or --checkpoint.')
  report = benchmark_lib.run(config, params, step)
  flag_values.show(values, benchmark_lib.to_text(report), report)


MODES = {
  'train': train,
  'eval': evaluate,
  'sample': sample,
  'colorize': colorize,
  'figures': figures,
  'export': export,
  'describe': describe,
  'benchmark': benchmark,
}


def run(values: Any) -> int:
  """Does what the flags ask for.

  Args:
    values: the flags of `main.py`, by name.

  Returns:
    The exit code, if it is not an error that is raised.

  Raises:
    UserError, RunError, Stopped.
  """
  from pic_jax.runtime import devices, distributed
  from pic_jax.saved import config_check

  flag_values.check(values)
  heartbeat_seconds = 100  # as in the configs
  if values.config is not None:
    config_check.check(values.config)
    heartbeat_seconds = values.config.training.heartbeat_seconds
  if values.mode != 'colorize':  # runs in one process
    distributed.join_processes(values.distributed, heartbeat_seconds)
  devices.check()
  return MODES[values.mode](values) or EXIT_DONE
