"""Checking and reading flags, and showing results."""

import json
import os
import pathlib
import re
from typing import Any

from pic_jax.runtime import errors

PATHS = (
  'workdir',
  'checkpoint',
  'checkpoints',
  'input',
  'output',
  'folders',
  'report',
)


def check(values: Any) -> None:
  """Checks what can be told from the flags alone.

  Raises:
    UserError: a path is not one, or a flag is not of this mode.
  """
  for name in PATHS:
    value = getattr(values, name) or ''
    for path in value if isinstance(value, list) else [value]:
      if '://' in path:
        raise errors.UserError(
          f'--{name} must be a path, got {path}: mount the bucket, for '
          'instance with gcsfuse.'
        )
      if not path and value:
        raise errors.UserError(
          f'--{name} has an empty entry, got {",".join(value)}.'
        )
  for name in ('figure', 'folders', 'checkpoints'):
    if getattr(values, name) and values.mode != 'figures':
      raise errors.UserError(f'--{name} needs --mode=figures.')
  if values.metrics == 'all' and values.mode != 'eval':
    raise errors.UserError('--metrics=all needs --mode=eval.')


def source_of(values: Any) -> str:
  """--checkpoint, else --workdir, which never means a published model."""
  if not (values.checkpoint or values.workdir):
    raise errors.UserError(
      f'--mode={values.mode} needs --checkpoint or --workdir.'
    )
  return values.checkpoint or os.path.join(os.curdir, values.workdir)


def load_trained(values: Any) -> tuple[Any, Any, int]:
  """Parameters, config and step of --checkpoint (default --workdir).

  With --config, its sections data, evaluation and sampling.
  """
  from pic_jax.saved import trained_model

  params, config, step = trained_model.load_trained(source_of(values))
  use_sections(values, config)
  return params, config, step


def use_sections(values: Any, config: Any) -> None:
  """Takes data, evaluation and sampling from --config, if it is given."""

  from pic_jax.saved import config_check

  if values.config is not None:
    with config.unlocked():
      for section in ('data', 'evaluation', 'sampling'):
        config[section] = values.config[section]
    config_check.check(config)


def profile_steps(text: str | None) -> tuple[int, int] | None:
  """--profile_steps as two numbers."""
  if text is None:
    return None
  match = re.fullmatch(r'(\d+):(\d+)', text)
  if not match or not 1 <= int(match[1]) <= int(match[2]):
    raise errors.UserError(
      '--profile_steps must be FIRST:LAST with 1 <= FIRST <= LAST, '
      f'got {text!r}.'
    )
  return int(match[1]), int(match[2])


def show(values: Any, text: str, report: dict) -> None:
  """Prints a result and writes --report, if it is asked for; process 0."""
  from pic_jax.runtime import devices

  if not devices.is_main():
    return
  print(text)
  if values.report:
    path = pathlib.Path(values.report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + '\n')
