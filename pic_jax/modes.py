"""The modes of main.py, which print their results to stdout.

Each function imports the modules that it needs, so every mode starts quickly.
"""

import json
import os
import pathlib
from typing import Any

from pic_jax.runtime import errors, paths

# Largest number of training images from which the prior of colours is computed.
MAX_PRIOR_IMAGES = 6000


def check(flags: Any) -> None:
  """Checks the flags that hold paths.

  Raises:
    UserError: if a flag does not hold a path of the right kind.
  """
  for name in ('workdir', 'checkpoint', 'output'):
    value = getattr(flags, name)
    if value is None:
      continue
    values = paths.split(value) if name == 'checkpoint' else [value]
    for path in values:
      if not path or '://' in path:
        raise errors.UserError(
          f'--{name} must be a path, got {path!r}. Mount a bucket as a folder, '
          'for instance with gcsfuse.'
        )
  writes_file = flags.mode in ('eval', 'describe', 'benchmark')
  if writes_file and os.path.isdir(flags.output or ''):
    raise errors.UserError(
      f'--output must be a file for --mode={flags.mode}, '
      f'got the folder {flags.output}.'
    )


def _sources(flags: Any) -> list[str]:
  """Returns the models of --checkpoint, or else --workdir.

  A relative workdir is returned with a leading './', so it is never mistaken
  for the name of a published model.

  Raises:
    UserError: if neither flag is given.
  """
  if not (flags.checkpoint or flags.workdir):
    raise errors.UserError(
      f'--mode={flags.mode} needs --checkpoint or --workdir'
      f'{" or --config" if flags.mode == "describe" else ""}.'
    )
  if flags.checkpoint:
    return paths.split(flags.checkpoint)
  return [os.path.join(os.curdir, flags.workdir)]


def _source(flags: Any) -> str:
  """Returns the only model of `_sources`.

  Raises:
    UserError: if there is no model, or more than one.
  """
  sources = _sources(flags)
  if len(sources) > 1:
    raise errors.UserError(
      f'--mode={flags.mode} takes one --checkpoint, got {",".join(sources)}.'
    )
  return sources[0]


def _load_trained(flags: Any) -> tuple[Any, Any, int]:
  """Loads the averaged parameters, config and step of a trained model.

  If --config is given, its sections data, evaluation and sampling replace those
  of the model's config.
  """
  from pic_jax.saved import trained_model

  params, config, step = trained_model.load_trained(_source(flags))
  _use_sections(flags, config)
  return params, config, step


def _use_sections(flags: Any, config: Any) -> None:
  """Copies the sections data, evaluation and sampling of --config, if given."""
  from pic_jax.saved import config_check

  if flags.config is not None:
    with config.unlocked():
      for section in ('data', 'evaluation', 'sampling'):
        config[section] = flags.config[section]
    config_check.check(config)


def _show(flags: Any, text: str, report: dict) -> None:
  """Prints `text`, and writes `report` to --output if set; process 0 only."""
  from pic_jax.runtime import devices

  if not devices.is_main():
    return
  print(text)
  if flags.output:
    path = pathlib.Path(flags.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    json_text = json.dumps(report, indent=2) + '\n'
    with errors.with_file_name(path):
      path.write_text(json_text, encoding='utf-8')


def train(flags: Any) -> None:
  """Runs --mode=train."""
  from pic_jax.runtime import distributed
  from pic_jax.training import loop

  for name in ('config', 'workdir'):
    if getattr(flags, name) is None:
      raise errors.UserError(f'--mode=train needs --{name}.')
  try:
    loop.train_and_evaluate(flags.config, flags.workdir)
  except errors.Stopped:
    distributed.disconnect()
    raise


def evaluate(flags: Any) -> None:
  """Runs --mode=eval: scores the test split.

  Flags may request further measurements: of samples, codes and features.
  """
  from pic_jax.data import input_pipeline
  from pic_jax.evaluation import (
    code_length,
    feature_distance,
    likelihood,
    sample_report,
  )
  from pic_jax.images import film
  from pic_jax.runtime import devices

  film.check(flags.film)
  for name in ('num_coded_images', 'num_feature_images'):
    if getattr(flags, name) and flags.film != 'clean':
      raise errors.UserError(
        f'--{name} cannot be combined with --film, because it uses the images '
        f'without a film. Leave out --{name} or --film.'
      )

  params, config, step = _load_trained(flags)
  extra_modules = {
    module: num_images
    for module, num_images in (
      (sample_report, flags.num_sampled_images),
      (code_length, flags.num_coded_images),
      (feature_distance, flags.num_feature_images),
    )
    if num_images
  }
  # Checked first, because scoring takes long.
  for module in extra_modules:
    module.check(config)
  source = input_pipeline.open_test(config)
  params = devices.replicate(params)
  report = likelihood.evaluate(
    config, params, source, num_images=flags.num_images, film=flags.film
  )
  text = likelihood.to_text(report)
  for module, num_images in extra_modules.items():
    kwargs = {'film': flags.film} if module is sample_report else {}
    extra_report = module.measure(
      config, params, source, num_images=num_images, **kwargs
    )
    report |= extra_report
    text += f'\n{module.to_text(extra_report)}'
  data, split = config.data.name, config.data.test_split
  report |= {'step': step, 'data': data, 'split': split}
  _show(flags, f'{data} {split}, step {step}\n{text}', report)


def sample(flags: Any) -> None:
  """Runs --mode=sample: writes sheets of grey | samples | original."""
  from pic_jax.sampling import sheets
  from pic_jax.saved import run_config

  params, config, step = _load_trained(flags)
  folder = flags.output or flags.workdir or '.'
  model = run_config.build_model(config)
  for path in sheets.save(model, params, config, step=step, folder=folder):
    print(path)


def figures(flags: Any) -> None:
  """Runs --mode=figures: writes the paper's figures, where possible."""
  from pic_jax.evaluation import figures
  from pic_jax.runtime import devices
  from pic_jax.saved import trained_model

  if devices.num_processes() > 1:
    raise errors.UserError(
      '--mode=figures runs in one process only. Set --nodistributed.'
    )
  folder = pathlib.Path(flags.output or flags.workdir or '.') / 'figures'
  sources = _sources(flags)
  trained = [trained_model.load_trained(source)[:2] for source in sources]
  _use_sections(flags, trained[0][1])
  for path in figures.make_all(
    sources, trained, folder, compare_with=flags.compare_with
  ):
    print(path)


def export(flags: Any) -> None:
  """Runs --mode=export: writes averaged weights and a readable NAME.json."""
  from pic_jax.saved import recommended_sampling, trained_model, weights_file

  if not flags.output:
    raise errors.UserError('--mode=export needs --output=NAME.safetensors.')
  output = pathlib.Path(flags.output)
  for path in (output, output.with_suffix('.json')):
    if path.exists():
      raise errors.UserError(
        f'{path} exists. Remove it, or choose another --output.'
      )
  params, config, step = _load_trained(flags)
  if flags.recommend:
    recommended = recommended_sampling.from_flag(flags.recommend)
  else:
    recommended = trained_model.load_recommended(_source(flags))
  prior = trained_model.load_prior(_source(flags))
  if recommended.prior_exponent and prior is None:
    prior = _make_prior(config)
  with config.unlocked():
    # Paths of this machine are of no use elsewhere, so only the last name of
    # each path is kept.
    sources = paths.split(config.training.init_from)
    config.training.init_from = ','.join(pathlib.Path(x).name for x in sources)
    weights = pathlib.Path(config.training.backbone_weights)
    config.training.backbone_weights = weights.name
    config.data.data_dir = pathlib.Path(config.data.data_dir).name
    config.data.mixture = tuple(
      (share, name, pathlib.Path(folder).name, *rest)
      for share, name, folder, *rest in config.data.mixture
    )
  weights_file.save(
    flags.output,
    params,
    config,
    step=step,
    recommended=recommended,
    prior=prior,
  )
  print(flags.output)


def _make_prior(config: Any) -> Any:
  """Computes the prior of colours from random images of the training split.

  Returns:
    [64, 64] float32 log-probabilities; see `colour_prior`.

  Raises:
    UserError: if the training images cannot be opened.
  """
  import jax
  import numpy as np

  from pic_jax.data import input_pipeline
  from pic_jax.model import colour_prior
  from pic_jax.saved import run_config

  source = input_pipeline.open_source(config.data, config.data.train_split)
  model = run_config.build_model(config)
  chroma_fn = jax.jit(lambda rgb: model.coarsest(model.split_lab(rgb)).chroma)
  order = np.random.default_rng(0).permutation(len(source))
  chosen = order[:MAX_PRIOR_IMAGES]
  batches = (chosen[i : i + 16] for i in range(0, len(chosen), 16))
  return colour_prior.make(
    chroma_fn(np.stack([source[index] for index in batch])) for batch in batches
  )


def describe(flags: Any) -> None:
  """Runs --mode=describe on a config or a checkpoint.

  The report on a checkpoint also contains the step and the checksums.
  """
  from pic_jax.data import input_pipeline
  from pic_jax.saved import digests, trained_model
  from pic_jax.training import description

  config, saved, saved_lines = flags.config, {}, []
  if config is None or flags.checkpoint:
    source = _source(flags)
    tree, stored_config, step = trained_model.load(source)
    config = config or stored_config
    saved = {'step': step, 'sha256': digests.digest_state(tree)}
    saved_lines = [f'{source}, step {step}'] + [
      f'sha256 {digest} {name}' for name, digest in saved['sha256'].items()
    ]
  try:
    images = input_pipeline.open_images(config.data, config.data.train_split)
    num_images, messages = len(images), []
  except errors.UserError as error:
    num_images, messages = None, [str(error)]
  report = description.run(config, num_images, flags.workdir)
  text = '\n'.join([description.to_text(report), *messages, *saved_lines])
  _show(flags, text, report | saved)


def benchmark(flags: Any) -> None:
  """Runs --mode=benchmark on a checkpoint, or on a config's untrained model."""
  from pic_jax import benchmark

  params, config, step = None, flags.config, None
  if flags.checkpoint:
    params, config, step = _load_trained(flags)
  elif config is None:
    raise errors.UserError('--mode=benchmark needs --config or --checkpoint.')
  report = benchmark.run(config, params, step)
  _show(flags, benchmark.to_text(report), report)


MODES = {
  'train': train,
  'eval': evaluate,
  'sample': sample,
  'figures': figures,
  'export': export,
  'describe': describe,
  'benchmark': benchmark,
}


def run(flags: Any) -> None:
  """Runs the mode that --mode names.

  Args:
    flags: the flags of main.py with their values.

  Raises:
    UserError: if a flag is wrong, or a package is not installed.
  """
  try:
    _run(flags)
  except ModuleNotFoundError as error:
    if (error.name or 'pic_jax').startswith('pic_jax'):
      raise  # a bug, not a missing package
    raise errors.UserError(
      f"--mode={flags.mode} needs {error.name}: pip install '.[train]' (on "
      'Windows, inside WSL 2).'
    ) from None


def _run(flags: Any) -> None:
  """Checks the flags, connects the processes and runs the mode."""
  from pic_jax.runtime import devices, distributed
  from pic_jax.saved import config_check

  check(flags)
  for name in ('workdir', 'output'):
    if getattr(flags, name) is not None:
      setattr(flags, name, paths.expand(getattr(flags, name)))
  if flags.config is not None:
    config_check.check(flags.config)
    _expand_paths(flags.config)
  distributed.connect(flags.distributed)
  devices.check()
  with devices.standard_numerics():
    MODES[flags.mode](flags)


def _expand_paths(config: Any) -> None:
  """Expands `~` in the paths of a config."""
  for section, name in (
    ('data', 'data_dir'),
    ('training', 'init_from'),
    ('training', 'backbone_weights'),
  ):
    config[section][name] = paths.expand(config[section][name])
  config.data.mixture = tuple(
    (share, name, paths.expand(folder), *rest)
    for share, name, folder, *rest in config.data.mixture
  )
