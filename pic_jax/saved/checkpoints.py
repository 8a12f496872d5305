"""Writing and reading of a run's checkpoints.

A checkpoint holds one replica of the `TrainState` as host arrays, a description
of the run, and a digest of every leaf. The digests are needed because Orbax
does not notice a flipped bit.
"""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from typing import Any

import flax.serialization
import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

from pic_jax.model import parameters
from pic_jax.runtime import errors
from pic_jax.saved import digests, run_config

# Packages whose versions a checkpoint records.
PACKAGES = ('jax', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
# Seconds to wait before each new attempt to read a checkpoint.
RETRY_SECONDS = (0.5, 2.0)
# Kinds of `OSError` that mean that a file is missing. Any other `OSError` is a
# failure of the disk or the operating system.
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
# Messages of tensorstore errors that the disk or the operating system caused.
# The type of the error does not show the cause, because tensorstore always
# raises `ValueError`. OS error 2, a missing file, is not among them.
SYSTEM_ERRORS = re.compile(
  r'OS error (?!2:)\d+|RESOURCE_EXHAUSTED|UNAVAILABLE|PERMISSION_DENIED'
  r'|DEADLINE_EXCEEDED|bad_alloc'
)


class DamagedError(Exception):
  """A checkpoint whose contents are missing or do not match their digests."""


def _only_this_process() -> ocp.options.MultiprocessingOptions:
  """Returns options with which Orbax does not wait for other processes."""
  index = jax.process_index()
  return ocp.options.MultiprocessingOptions(
    primary_host=index,
    active_processes={index},
    barrier_sync_key_prefix=f'process_{index}',
  )


def provenance() -> dict[str, Any]:
  """Returns the commit, the package versions and the command of this process.

  Returns:
    Dict with 'commit' (a string), 'versions' (a dict by package name) and
    'command' (a list of arguments).
  """
  root = pathlib.Path(__file__).parents[2]
  try:
    commit = subprocess.run(
      ['git', '-C', str(root), 'describe', '--always', '--dirty'],
      capture_output=True,
      text=True,
      check=False,
    ).stdout.strip()
  except FileNotFoundError:
    commit = ''  # git is not installed, as in many containers
  return {
    'commit': commit,
    'versions': {name: importlib.metadata.version(name) for name in PACKAGES},
    'command': sys.argv,
  }


class Saver:
  """Writes checkpoints in the background and keeps only the last ones.

  Only process 0 needs a saver, because all processes have the same state.
  """

  def __init__(
    self,
    workdir: str,
    config: ml_collections.ConfigDict,
    max_to_keep: int,
    *,
    data: dict[str, Any] | None = None,
  ):
    """Opens the folder of checkpoints, and creates it if it is missing.

    Args:
      workdir: path of the run's workdir.
      config: config of the run.
      max_to_keep: number of checkpoints to keep.
      data: fingerprint of the training images.
    """
    self._workdir, self._max_to_keep = workdir, max_to_keep
    self._directory = pathlib.Path(workdir).absolute() / run_config.CHECKPOINTS
    self._description = {
      'config': run_config.to_json(config),
      'data': data,
      'provenance': provenance(),
    }
    self._directory.mkdir(parents=True, exist_ok=True)
    # A process that was killed while it saved has left a temporary folder as
    # large as a checkpoint. Orbax removes it only if the same step is saved
    # again.
    for path in self._directory.glob('*.orbax-checkpoint-tmp*'):
      shutil.rmtree(path, ignore_errors=True)
    self._manager = ocp.CheckpointManager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=None,  # `_remove_old` does this, and tolerates failures
        multiprocessing_options=_only_this_process(),
        create=False,  # if True, Orbax waits for all processes
      ),
    )

  def save(self, state: Any) -> None:
    """Starts to write a state in the background.

    Args:
      state: a `TrainState` of host arrays. There must not be a checkpoint of
        the same step yet.

    Raises:
      RunError: if this state or the state of an earlier call was not written.
    """
    step = int(state.step)
    tree = flax.serialization.to_state_dict(state)
    meta = self._description | {
      'step': step,
      'digests': digests.digest_tree(tree),
    }
    args = ocp.args.Composite(
      state=ocp.args.StandardSave(tree),
      meta=ocp.args.JsonSave(meta | {'digest': digests.digest_json(meta)}),
    )
    try:
      self._manager.wait_until_finished()
      self._remove_old()
      saved = self._manager.save(step, args=args, force=True)
    except Exception as error:
      raise errors.RunError(self._failure(error)) from error
    if not saved:
      raise errors.RunError(f'{self._directory}/{step} was not written.')

  def close(self) -> None:
    """Waits until all states are written, and releases Orbax's resources.

    Raises:
      RunError: if a state was not written.
    """
    try:
      self._manager.wait_until_finished()
      self._remove_old()
    except Exception as error:
      raise errors.RunError(self._failure(error)) from error
    finally:
      self._manager.close()

  def _remove_old(self) -> None:
    """Removes all but the last checkpoints.

    A warning names a checkpoint that cannot be removed, and the next call tries
    again. On network disks, a process that reads a checkpoint may prevent its
    removal.
    """
    for step in saved_steps(self._workdir)[: -self._max_to_keep]:
      try:
        shutil.rmtree(self._directory / str(step))
      except OSError as error:
        print(
          f'WARNING: the old checkpoint {self._directory / str(step)} cannot '
          f'be removed ({error.strerror}).',
          file=sys.stderr,
        )

  def _failure(self, error: Exception) -> str:
    """Returns the message for an error that Orbax raised during a save."""
    reason = str(error).strip().splitlines() or [type(error).__name__]
    if 'No space left' in str(error):
      reason = ['the disk is full. Make room. Earlier checkpoints are kept.']
    return f'Saving to {self._directory} failed: {reason[0][:300]}'


def set_aside_after(workdir: str, step: int) -> None:
  """Renames the checkpoints of later steps, so their steps can be saved again.

  Args:
    workdir: path of the run's workdir.
    step: step from which the run resumes. All later checkpoints are damaged.
  """
  for later in saved_steps(workdir):
    if later > step:
      path = pathlib.Path(workdir) / run_config.CHECKPOINTS / str(later)
      path.rename(path.with_name(f'{later}.damaged.{time.time_ns()}'))


def saved_steps(workdir: str) -> list[int]:
  """Returns the steps of a run's finished checkpoints in ascending order.

  Raises:
    OSError: if the folder exists but cannot be listed. An empty list instead
      would make the run start again from step 0.
  """
  try:
    names = os.listdir(pathlib.Path(workdir) / run_config.CHECKPOINTS)
  except (FileNotFoundError, NotADirectoryError):
    return []
  return sorted(int(name) for name in names if name.isdecimal())


def _read_meta(path: pathlib.Path) -> dict[str, Any]:
  """Reads and verifies the description of a checkpoint.

  Args:
    path: path of the checkpoint's folder.

  Returns:
    The description: 'config', 'step', 'digests', 'data', 'provenance'.

  Raises:
    DamagedError: if the description is missing or does not match its digest.
    OSError: if the system cannot read the description.
  """
  try:
    meta = json.loads((path / 'meta' / 'metadata').read_text(encoding='utf-8'))
    digest = meta.pop('digest')
  except MISSING:
    raise DamagedError('the description is missing') from None
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise DamagedError(f'the description is not valid ({error})') from None
  if digest != digests.digest_json(meta):
    raise DamagedError('the description does not match its digest')
  return meta


def _read(path: pathlib.Path) -> tuple[Any, dict[str, Any]]:
  """Reads and verifies a checkpoint.

  The checkpoint may come from a stranger. Nothing in it is executed, no link is
  followed, and every array that is read is a scalar or has the shape of one of
  the model's parameters.

  Args:
    path: path of the checkpoint's folder.

  Returns:
    The state as nested dicts of numpy arrays, and the description.

  Raises:
    DamagedError: if contents are missing or do not match their digests.
    RunError: if the checkpoint is whole, but this version cannot use it.
    Exception: if the system cannot read a file, or an array is damaged. Orbax
      then raises exceptions of many types.
  """
  if any(file.is_symlink() for file in path.rglob('*')):
    raise errors.RunError(
      f'{path} holds symbolic links, which are not followed. Copy the '
      'checkpoint with `cp -rL`.'
    )
  meta = _read_meta(path)
  config = run_config.stored(meta['config'], str(path))
  expected = parameters.shapes(
    run_config.build_model(config), config.data.image_size
  )
  known_shapes = {x.shape for x in jax.tree.leaves(expected)} | {()}
  with ocp.StandardCheckpointer(
    multiprocessing_options=_only_this_process()
  ) as reader:
    shapes = reader.metadata(path / 'state').item_metadata
    shapes = getattr(shapes, 'tree', shapes)
    for leaf in jax.tree.leaves(dict(shapes)):
      if tuple(leaf.shape) not in known_shapes:
        raise errors.RunError(
          f'{path} holds an array of shape {tuple(leaf.shape)}, but no '
          "parameter of the config's model has this shape. Another version of "
          'pic_jax wrote the checkpoint, or the checkpoint was changed.'
        )
    target = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), dict(shapes))
    tree = reader.restore(path / 'state', target)
  actual = digests.digest_tree(tree)
  for name in meta['digests'] | actual:
    if actual.get(name) != meta['digests'].get(name):
      raise DamagedError(f'{name} does not match its digest')
  return tree, {'data': None} | meta  # early checkpoints have no 'data'


def _is_system_error(error: Exception, path: pathlib.Path) -> bool:
  """Returns whether the disk or system, not damage, made `_read` fail.

  Orbax hides some errors of the system behind other errors. Therefore, the last
  check reads all files of the checkpoint.

  Args:
    error: exception that `_read` raised.
    path: path of the checkpoint's folder.
  """
  if isinstance(error, MemoryError):
    return True
  if isinstance(error, OSError) and not isinstance(error, MISSING):
    return True
  if SYSTEM_ERRORS.search(str(error)):
    return True
  try:
    for file in path.rglob('*'):
      with contextlib.suppress(*MISSING):
        file.read_bytes()
  except (OSError, MemoryError):
    return True
  return False


def _newer_orbax(meta: dict[str, Any]) -> str:
  """Returns the Orbax version that wrote a checkpoint, if newer than installed.

  Args:
    meta: description of the checkpoint.

  Returns:
    Name and version of the package, or '' if the installed version is the same
    or newer.
  """

  def numbers(version: str) -> list[int]:
    return [int(x) for x in re.findall(r'\d+', version)]

  name = 'orbax-checkpoint'
  writer = meta['provenance']['versions'].get(name, '')
  installed = importlib.metadata.version(name)
  return f'{name} {writer}' if numbers(writer) > numbers(installed) else ''


def _read_with_retries(path: pathlib.Path) -> tuple[Any, dict[str, Any]]:
  """Reads a checkpoint, and tries again if that fails.

  Args:
    path: path of the checkpoint's folder.

  Returns:
    The state and the description, as `_read` returns them.

  Raises:
    DamagedError: if the checkpoint is damaged.
    RunError: if the checkpoint cannot be read or used now, but may be intact.
  """
  for seconds in (*RETRY_SECONDS, None):
    try:
      return _read(path)
    except (DamagedError, errors.RunError):
      raise
    except Exception as error:  # Orbax has no common type for damaged files
      reason = errors.in_one_line(str(error) or type(error).__name__)[:200]
      is_system_error = _is_system_error(error, path)
    if seconds is not None:
      time.sleep(seconds)
  if is_system_error:
    raise errors.RunError(
      f'{path} cannot be read ({reason}). Nothing was changed. Run the same '
      'command again when the disk works and enough memory is free.'
    )
  if newer := _newer_orbax(_read_meta(path)):
    raise errors.RunError(
      f'{path} was written with {newer}. Install that version or a newer one.'
    )
  raise DamagedError(reason)


def read_config(workdir: str) -> ml_collections.ConfigDict | None:
  """Reads the config from the last checkpoint whose description is undamaged.

  Args:
    workdir: path of the run's workdir.

  Returns:
    The config, or None if no checkpoint has an undamaged description.

  Raises:
    RunError: if a newer version of pic_jax wrote the config.
    OSError: if the system cannot read the description.
  """
  for step in reversed(saved_steps(workdir)):
    path = pathlib.Path(workdir) / run_config.CHECKPOINTS / str(step)
    with contextlib.suppress(DamagedError):
      return run_config.stored(_read_meta(path)['config'], str(path))
  return None


def restore(
  workdir: str, step: int | None = None
) -> tuple[Any, dict[str, Any]] | None:
  """Reads the last undamaged checkpoint, or the checkpoint of a given step.

  Args:
    workdir: path of the run's workdir.
    step: step of the checkpoint to read. None for the last checkpoint that is
      not damaged.

  Returns:
    The state as nested dicts of numpy arrays, and the description ('config',
    'step', 'data', 'provenance'). None if there is no checkpoint at all.

  Raises:
    RunError: if there is no checkpoint of the given step, if all checkpoints
      are damaged, or if a checkpoint that may be undamaged cannot be read or
      was written by a newer version.
  """
  steps = saved_steps(workdir)
  if step is not None:
    if step not in steps:
      raise errors.RunError(
        f'{workdir} has no checkpoint of step {step}. The steps of its '
        f'checkpoints are {steps}.'
      )
    steps = [step]
  for index, candidate in reversed(list(enumerate(steps))):
    path = (
      pathlib.Path(workdir) / run_config.CHECKPOINTS / str(candidate)
    ).absolute()
    try:
      return _read_with_retries(path)
    except DamagedError as error:
      instead = (
        f' The checkpoint of step {steps[index - 1]} takes its place.'
        if index
        else ''
      )
      print(
        f'WARNING: checkpoint {path} is damaged ({error}).{instead}',
        file=sys.stderr,
      )
  if steps:
    raise errors.RunError(
      f'No checkpoint in {workdir} can be restored (tried {steps[::-1]}).'
    )
  return None
