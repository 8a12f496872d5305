"""Checkpoints of a run.

A checkpoint is one replica of the TrainState as host arrays, plus a digest of
every leaf: Orbax restores a flipped bit without a word.
"""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import re
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

PACKAGES = ('jax', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
# Waits before a file that the system failed to read is tried again.
RETRY_SECONDS = (0.5, 2.0)
# Errors that say that a file is not there; all others are the system's.
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
# How tensorstore, whose errors are all `ValueError`, names the system's.
SYSTEM_ERRORS = re.compile(
  r'OS error (?!2:)\d+|RESOURCE_EXHAUSTED|UNAVAILABLE|PERMISSION_DENIED'
  r'|DEADLINE_EXCEEDED|bad_alloc'
)


class DamagedError(Exception):
  """Contents that do not match their digests, or files that are missing."""


def _alone() -> ocp.options.MultiprocessingOptions:
  """Orbax in this process only, which waits for no other."""
  index = jax.process_index()
  return ocp.options.MultiprocessingOptions(
    primary_host=index,
    active_processes={index},
    barrier_sync_key_prefix=f'process_{index}',
  )


def provenance() -> dict[str, Any]:
  """Commit, versions and command line of this process."""
  root = pathlib.Path(__file__).parents[2]
  try:
    commit = subprocess.run(
      ['git', '-C', str(root), 'describe', '--always', '--dirty'],
      capture_output=True,
      text=True,
      check=False,
    ).stdout.strip()
  except FileNotFoundError:
    commit = ''  # a slim container without git
  return {
    'commit': commit,
    'versions': {name: importlib.metadata.version(name) for name in PACKAGES},
    'command': sys.argv,
  }


class Saver:
  """Writes checkpoints in the background and keeps the last ones.

  For process 0: a state is the same on all.
  """

  def __init__(
    self,
    workdir: str,
    config: ml_collections.ConfigDict,
    max_to_keep: int,
    *,
    data: dict[str, Any] | None = None,
  ):
    """Opens the folder of the checkpoints.

    Args:
      workdir: of the run.
      config: of the run.
      max_to_keep: how many checkpoints.
      data: fingerprint of the images that are trained on.
    """
    self._directory = pathlib.Path(workdir).absolute() / run_config.CHECKPOINTS
    self._description = {
      'config': run_config.to_json(config),
      'data': data,
      'provenance': provenance(),
    }
    self._directory.mkdir(parents=True, exist_ok=True)
    self._manager = ocp.CheckpointManager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=max_to_keep,
        multiprocessing_options=_alone(),
        create=False,  # with create, Orbax waits for all processes
      ),
    )

  def save(self, state: Any) -> None:
    """Starts to write a `TrainState` of host arrays; its step must be new.

    Raises:
      RunError: the state of this or an earlier step was not written.
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
      saved = self._manager.save(step, args=args, force=True)
    except Exception as error:
      raise errors.RunError(self._failure(error)) from error
    if not saved:
      raise errors.RunError(f'{self._directory}/{step} was not written.')

  def close(self) -> None:
    """Waits until all is written.

    Raises:
      RunError: a write failed.
    """
    try:
      self._manager.wait_until_finished()
    except Exception as error:
      raise errors.RunError(self._failure(error)) from error
    finally:
      self._manager.close()

  def _failure(self, error: Exception) -> str:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    if 'No space left' in str(error):
      reason = ['the disk is full. Make room; earlier checkpoints are kept.']
    return f'Saving to {self._directory} failed: {reason[0][:300]}'


def set_aside_after(workdir: str, step: int) -> None:
  """Renames damaged checkpoints of later steps, so that they can be redone."""
  for later in saved_steps(workdir):
    if later > step:
      path = pathlib.Path(workdir) / run_config.CHECKPOINTS / str(later)
      path.rename(path.with_name(f'{later}.damaged.{time.time_ns()}'))


def saved_steps(workdir: str) -> list[int]:
  """Steps of the finished checkpoints of a run, ascending.

  Raises:
    OSError: the folder is there but cannot be listed; it is never taken for an
      empty one, where a run would start again.
  """
  try:
    names = os.listdir(pathlib.Path(workdir) / run_config.CHECKPOINTS)
  except (FileNotFoundError, NotADirectoryError):
    return []
  return sorted(int(name) for name in names if name.isdecimal())


def _read_meta(path: pathlib.Path) -> dict[str, Any]:
  """Reads and verifies the description of one checkpoint.

  Raises:
    DamagedError: it is missing, or does not match its digest.
    OSError: the system could not read it.
  """
  try:
    meta = json.loads((path / 'meta' / 'metadata').read_text(encoding='utf-8'))
    digest = meta.pop('digest')
  except MISSING:
    raise DamagedError('its description is missing') from None
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise DamagedError(f'its description is not valid JSON ({error})') from None
  if digest != digests.digest_json(meta):
    raise DamagedError('its description does not match its digest')
  return meta


def _read(path: pathlib.Path) -> tuple[Any, dict[str, Any]]:
  """Reads and verifies one checkpoint.

  It may come from anywhere: nothing in it is executed, no link is followed,
  and no array is read whose shape is not one of the model's.

  Raises:
    DamagedError: the contents do not match their digests, or are missing.
    RunError: it is whole, but this version cannot use it.
    Exception: of the system, or of many kinds for damaged arrays.
  """
  if any(file.is_symlink() for file in path.rglob('*')):
    raise errors.RunError(
      f'{path} holds symbolic links, which are not followed: copy it with '
      '`cp -rL`.'
    )
  meta = _read_meta(path)
  config = run_config.stored(meta['config'], str(path))
  expected = parameters.shapes(
    run_config.build_model(config), config.data.image_size
  )
  known = {x.shape for x in jax.tree.leaves(expected)} | {()}
  with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as reader:
    shapes = reader.metadata(path / 'state').item_metadata
    shapes = getattr(shapes, 'tree', shapes)
    for leaf in jax.tree.leaves(dict(shapes)):
      if tuple(leaf.shape) not in known:
        raise errors.RunError(
          f'{path} holds an array of shape {tuple(leaf.shape)}, which no '
          'parameter of its config has: another version of pic_jax wrote it, '
          'or it was changed.'
        )
    target = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), dict(shapes))
    tree = reader.restore(path / 'state', target)
  found = digests.digest_tree(tree)
  for name in meta['digests'] | found:
    if found.get(name) != meta['digests'].get(name):
      raise DamagedError(f'{name} does not match its digest')
  return tree, {'data': None} | meta


def _is_of_the_system(error: Exception, path: pathlib.Path) -> bool:
  """Whether an error says nothing about the contents of a checkpoint.

  Orbax hides some errors of reads behind its own; so all files are read.
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


def _newer_packages(meta: dict[str, Any]) -> str:
  """Packages that wrote a checkpoint and are newer than the installed ones."""

  def numbers(version: str) -> list[int]:
    return [int(x) for x in re.findall(r'\d+', version)]

  name = 'orbax-checkpoint'
  wrote = meta['provenance']['versions'].get(name, '')
  here = importlib.metadata.version(name)
  return f'{name} {wrote}' if numbers(wrote) > numbers(here) else ''


def _read_with_patience(path: pathlib.Path) -> tuple[Any, dict[str, Any]]:
  """Reads one checkpoint; what the system fails to read is tried again.

  Raises:
    DamagedError: see `_read`.
    RunError: it may be whole, but cannot be read or used now.
  """
  for seconds in (*RETRY_SECONDS, None):
    try:
      return _read(path)
    except (DamagedError, errors.RunError):
      raise
    except Exception as error:  # Orbax has no one kind for damaged files
      reason = errors.in_one_line(error or type(error).__name__)[:200]
      is_of_the_system = _is_of_the_system(error, path)
    if seconds is not None:
      time.sleep(seconds)
  if is_of_the_system:
    raise errors.RunError(
      f'{path} cannot be read ({reason}). Nothing was changed: run the same '
      'command again when the disk and the memory allow.'
    )
  if newer := _newer_packages(_read_meta(path)):
    raise errors.RunError(f'{path} was written with {newer}: update it here.')
  raise DamagedError(reason)


def read_config(workdir: str) -> ml_collections.ConfigDict | None:
  """The config in the last checkpoint whose description is whole, if any.

  Raises:
    RunError: a newer version wrote it.
    OSError: it cannot be read.
  """
  for step in reversed(saved_steps(workdir)):
    path = pathlib.Path(workdir) / run_config.CHECKPOINTS / str(step)
    with contextlib.suppress(DamagedError):
      return run_config.stored(_read_meta(path)['config'], str(path))
  return None


def restore(
  workdir: str, step: int | None = None
) -> tuple[Any, dict[str, Any]] | None:
  """Reads the last good checkpoint, or exactly the one asked for.

  Args:
    workdir: of the run.
    step: only this one; None for the last that is not damaged.

  Returns:
    The state as nested dicts of numpy arrays, and its description (`config`,
    `step`, `data`, `provenance`); None if there is no checkpoint at all.

  Raises:
    RunError: none of the checkpoints is good; or the last one may be, but
      cannot be read, or a newer version wrote it.
  """
  steps = saved_steps(workdir)
  if step is not None:
    if step not in steps:
      raise errors.RunError(
        f'{workdir} has no checkpoint of step {step}; it has {steps}.'
      )
    steps = [step]
  for index, candidate in reversed(list(enumerate(steps))):
    path = (
      pathlib.Path(workdir) / run_config.CHECKPOINTS / str(candidate)
    ).absolute()
    try:
      return _read_with_patience(path)
    except DamagedError as error:
      instead = f'; step {steps[index - 1]} takes its place' if index else ''
      print(
        f'WARNING: checkpoint {path} is damaged: {error}{instead}.',
        file=sys.stderr,
      )
  if steps:
    raise errors.RunError(
      f'No checkpoint in {workdir} can be restored (tried {steps[::-1]}).'
    )
  return None
