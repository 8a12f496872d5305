"""The config of a workdir, compared when its run is continued."""

import pathlib
from typing import Any

import ml_collections

from pic_jax.runtime import errors
from pic_jax.saved import checkpoints, fields, run_config

# Of model and data, what may change when a run is resumed.
MAY_CHANGE = {
  'model.remat',
  'data.data_dir',
  'data.validation_split',
  'data.test_split',
}


def changes(
  config: ml_collections.ConfigDict, workdir: str
) -> dict[str, tuple[Any, Any]]:
  """What differs from the config that a workdir already has.

  Returns:
    'section.field' -> (before, now); nothing if there is no run to continue.

  Raises:
    UserError: the workdir belongs to another model or data.
  """
  path = pathlib.Path(workdir) / run_config.CONFIG_FILE
  if not path.exists() or not checkpoints.saved_steps(workdir):
    return {}
  try:
    before = run_config.from_json(path.read_text())
  except errors.UserError as error:
    raise errors.UserError(f'{path}: {error}') from None
  found = {
    f'{section}.{name}': (before[section][name], config[section][name])
    for section, names in fields.TYPES.items()
    for name in names
    if before[section][name] != config[section][name]
  }
  fatal = [
    f'{name}: {old!r} there, {new!r} now'
    for name, (old, new) in found.items()
    if name.startswith(('model.', 'data.')) and name not in MAY_CHANGE
  ]
  if fatal:
    raise errors.UserError(
      f'{workdir} holds another run ({"; ".join(fatal)}): choose another '
      '--workdir, or `--config.training.init_from` to start from its weights.'
    )
  return found


def write_config(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Writes config.json, whole or not at all."""
  path = pathlib.Path(workdir) / run_config.CONFIG_FILE
  temporary = path.with_name(f'.{run_config.CONFIG_FILE}')
  temporary.write_text(run_config.to_json(config))
  temporary.replace(path)
