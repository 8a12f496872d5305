"""The config of a run as JSON and as a file in its workdir."""

import json
import pathlib
from typing import Any

import ml_collections

from pic_jax.model import pic
from pic_jax.runtime import errors, whole_file
from pic_jax.saved import config_check, config_fields, earlier_versions

# Names of the config's file and of the folder of checkpoints in a workdir.
CONFIG_FILE, CHECKPOINTS = 'config.json', 'checkpoints'
# Prefixes of the fields 'section.name' that a resumed run may not change.
FIXED = ('model.', 'data.', 'optimizer.name')
# Exceptions from `FIXED`, which a resumed run may change.
MAY_CHANGE = {
  'model.remat',
  'data.data_dir',
  'data.max_unreadable',
  'data.validation_split',
  'data.test_split',
}


def build_model(config: ml_collections.ConfigDict) -> pic.PIC:
  """Builds the network that `config.model` describes."""
  return pic.PIC(**_to_tuples(config.model.to_dict()))


def _to_tuples(value: Any) -> Any:
  """Turns the lists in a JSON value into tuples.

  JSON has no tuples, and a linen module whose field is a list is not hashable.
  """
  if isinstance(value, list | tuple):
    return tuple(_to_tuples(x) for x in value)
  if isinstance(value, dict):
    return {name: _to_tuples(x) for name, x in value.items()}
  return value


def to_json(config: ml_collections.ConfigDict) -> str:
  """Returns the config as indented JSON."""
  return json.dumps(config.to_dict(), indent=2) + '\n'


def from_json(text: str) -> ml_collections.ConfigDict:
  """Reads and checks a config, and adds the defaults of missing fields.

  Args:
    text: config as JSON.

  Returns:
    The config, locked.

  Raises:
    UserError: if the text is not JSON, or not a valid config.
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
    raise errors.UserError(f'This is not a config ({error}).') from None
  config_check.check(config)
  return config.lock()


def stored(text: str, where: str) -> ml_collections.ConfigDict:
  """Reads the config that is stored in a checkpoint or a file of weights.

  Args:
    text: config as JSON, which is known to be undamaged.
    where: path of the file, for messages.

  Returns:
    The config, locked.

  Raises:
    RunError: if the config has fields or values that this version does not
      know.
  """
  try:
    return from_json(text)
  except errors.UserError as error:
    raise errors.RunError(
      f'{where} was written by a newer version of pic_jax, or changed by hand. '
      f'{error} Update pic_jax to read this config. No file was changed.'
    ) from None


def write(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Writes config.json to a workdir, whole or not at all."""
  whole_file.write_text(pathlib.Path(workdir) / CONFIG_FILE, to_json(config))


def read(workdir: str) -> ml_collections.ConfigDict | None:
  """Reads the config.json of a workdir.

  Returns:
    The config, locked, or None if the file is missing or not valid JSON.

  Raises:
    RunError: if a newer version of pic_jax wrote the file.
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
  """Lists the fields that differ when a run is resumed with a new config.

  Args:
    config: config of the resumed run.
    before: config that is stored in the workdir.
    workdir: path of the workdir, for the message.

  Returns:
    Dict from 'section.field' to (stored value, new value).

  Raises:
    UserError: if a field differs that a resumed run may not change.
  """
  changed = {
    f'{section}.{name}': (before[section].get(name), value)
    for section, values in config.items()
    for name, value in values.items()
    if before[section].get(name) != value
  }
  fatal = [
    f'{name}: stored {old!r}, now {new!r}'
    for name, (old, new) in changed.items()
    if name.startswith(FIXED) and name not in MAY_CHANGE
  ]
  if fatal:
    raise errors.UserError(
      f'{workdir} holds another run ({"; ".join(fatal)}). Choose another '
      '--workdir. To start from the weights of that run, set '
      '`--config.training.init_from`.'
    )
  return changed
