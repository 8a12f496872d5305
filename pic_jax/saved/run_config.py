"""The config of a run: its fields, as JSON, and in a workdir."""

import json
import pathlib
from typing import Any

import ml_collections

from pic_jax.model import pic
from pic_jax.runtime import errors, whole_file
from pic_jax.saved import config_check, config_fields, earlier_versions

# In a workdir: the config of its run, and the folder of its checkpoints.
CONFIG_FILE, CHECKPOINTS = 'config.json', 'checkpoints'
# Fields that a resumed run must keep, except for `MAY_CHANGE`.
FIXED = ('model.', 'data.', 'optimizer.name')
MAY_CHANGE = {
  'model.remat',
  'data.data_dir',
  'data.max_unreadable',
  'data.validation_split',
  'data.test_split',
}


def build_model(config: ml_collections.ConfigDict) -> pic.PIC:
  """The network of `config.model`."""
  return pic.PIC(**_to_tuples(config.model.to_dict()))


def _to_tuples(value: Any) -> Any:
  # JSON turns tuples into lists, and a module with a list cannot be hashed.
  if isinstance(value, list | tuple):
    return tuple(_to_tuples(x) for x in value)
  if isinstance(value, dict):
    return {name: _to_tuples(x) for name, x in value.items()}
  return value


def to_json(config: ml_collections.ConfigDict) -> str:
  """The config as indented JSON."""
  return json.dumps(config.to_dict(), indent=2) + '\n'


def from_json(text: str) -> ml_collections.ConfigDict:
  """A locked, checked config from JSON, completed with the defaults.

  Raises:
    UserError: not JSON, or not a config.
  """
  try:
    sections = _to_tuples(json.loads(text))
    earlier_versions.upgrade(sections)
    sections = {
      name: values | sections.pop(name, {})
      for name, values in config_fields.defaults().to_dict().items()
    } | sections
    config = ml_collections.ConfigDict(sections)
  except errors.UserError:
    raise
  except (ValueError, TypeError, KeyError, AttributeError) as error:
    raise errors.UserError(f'not a config ({error}).') from None
  config_check.check(config)
  return config.lock()


def stored(text: str, where: str) -> ml_collections.ConfigDict:
  """Reads the config that a run or a file of weights has stored.

  Args:
    text: JSON, already checked for damage.
    where: names the file in messages.

  Raises:
    RunError: it has fields or values that this version does not know.
  """
  try:
    return from_json(text)
  except errors.UserError as error:
    raise errors.RunError(
      f'{where} was written by a newer version of pic_jax, or changed by hand: '
      f'{error} Update pic_jax to use it; nothing was changed.'
    ) from None


def write(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Writes config.json, whole or not at all."""
  whole_file.write_text(pathlib.Path(workdir) / CONFIG_FILE, to_json(config))


def read(workdir: str) -> ml_collections.ConfigDict | None:
  """The config.json of a workdir; None if it is missing or incomplete.

  Raises:
    RunError: a newer version wrote it.
  """
  path = pathlib.Path(workdir) / CONFIG_FILE
  try:
    text = path.read_text(encoding='utf-8')
    json.loads(text)
  except (FileNotFoundError, ValueError):
    return None
  return stored(text, str(path))


def changes(
  config: ml_collections.ConfigDict,
  before: ml_collections.ConfigDict,
  workdir: str,
) -> dict[str, tuple[Any, Any]]:
  """Lists changes since the config of a run that is continued.

  Args:
    config: the new one.
    before: the config in the workdir.
    workdir: named in the message.

  Returns:
    'section.field' -> (before, now).

  Raises:
    UserError: the workdir belongs to another model or data.
  """
  found = {
    f'{section}.{name}': (before[section].get(name), value)
    for section, values in config.items()
    for name, value in values.items()
    if before[section].get(name) != value
  }
  fatal = [
    f'{name}: {old!r} there, {new!r} now'
    for name, (old, new) in found.items()
    if name.startswith(FIXED) and name not in MAY_CHANGE
  ]
  if fatal:
    raise errors.UserError(
      f'{workdir} holds another run ({"; ".join(fatal)}): choose another '
      '--workdir, or `--config.training.init_from` to start from its weights.'
    )
  return found
