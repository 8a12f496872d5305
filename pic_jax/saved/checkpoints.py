"""Checkpoints of a run.

A checkpoint is one replica of the TrainState as host arrays, plus a digest of
every leaf: Orbax restores a flipped bit without a word.
"""

import importlib.metadata
import json
import pathlib
import subprocess
import sys
import time
from typing import Any

import flax.serialization
import flax.traverse_util
import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

from pic_jax.model import parameters
from pic_jax.runtime import errors
from pic_jax.saved import digests, run_config

DIRECTORY = 'checkpoints'
PACKAGES = ('jax', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
# Of a model that does not fit: lines of the message that lists parameters.
MAX_DIFFERENCES = 12


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
    self, workdir: str, config: ml_collections.ConfigDict, max_to_keep: int
  ):
    self._directory = pathlib.Path(workdir).absolute() / DIRECTORY
    self._description = {
      'config': run_config.to_json(config),
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
    meta = self._description | {'step': step, 'digests': digests.of_tree(tree)}
    args = ocp.args.Composite(
      state=ocp.args.StandardSave(tree),
      meta=ocp.args.JsonSave(meta | {'digest': digests.of_json(meta)}),
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
      path = pathlib.Path(workdir) / DIRECTORY / str(later)
      path.rename(path.with_name(f'{later}.damaged.{time.time_ns()}'))


def saved_steps(workdir: str) -> list[int]:
  """Steps of the finished checkpoints of a run, ascending."""
  directory = pathlib.Path(workdir) / DIRECTORY
  if not directory.is_dir():
    return []
  return sorted(
    int(path.name) for path in directory.iterdir() if path.name.isdigit()
  )


def _read(path: pathlib.Path) -> tuple[Any, dict[str, Any]]:
  """Reads and verifies one checkpoint; any exception means it is damaged.

  It may come from anywhere: nothing in it is executed, no link is followed,
  and no array is read whose shape is not one of the model's.
  """
  if any(file.is_symlink() for file in path.rglob('*')):
    raise ValueError('it holds symbolic links')
  meta = json.loads((path / 'meta' / 'metadata').read_text())
  digest = meta.pop('digest')
  if digest != digests.of_json(meta):
    raise ValueError('its description does not match its digest')
  config = run_config.from_json(meta['config'])
  expected = parameters.shapes(
    run_config.build_model(config), config.data.image_size
  )
  known = {x.shape for x in jax.tree.leaves(expected)} | {()}
  with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as reader:
    shapes = reader.metadata(path / 'state').item_metadata
    shapes = getattr(shapes, 'tree', shapes)
    for leaf in jax.tree.leaves(dict(shapes)):
      if tuple(leaf.shape) not in known:
        raise ValueError(f'it holds an array of shape {tuple(leaf.shape)}')
    target = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), dict(shapes))
    tree = reader.restore(path / 'state', target)
  found = digests.of_tree(tree)
  for name in meta['digests'] | found:
    if found.get(name) != meta['digests'].get(name):
      raise ValueError(f'{name} does not match its digest')
  return tree, meta


def restore(
  workdir: str, step: int | None = None
) -> tuple[Any, dict[str, Any]] | None:
  """Reads the last good checkpoint, or exactly the one asked for.

  Args:
    workdir: of the run.
    step: only this one; None for the last that is not damaged.

  Returns:
    The state as nested dicts of numpy arrays, and its description (`config`,
    `step`, `provenance`); None if there is no checkpoint at all.

  Raises:
    RunError: there are checkpoints, but none of them is good.
  """
  steps = saved_steps(workdir)
  if step is not None:
    if step not in steps:
      raise errors.RunError(
        f'{workdir} has no checkpoint of step {step}; it has {steps}.'
      )
    steps = [step]
  for candidate in reversed(steps):
    path = (pathlib.Path(workdir) / DIRECTORY / str(candidate)).absolute()
    try:
      return _read(path)
    except Exception as error:  # noqa: BLE001  whatever a damaged file causes
      reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
      print(
        f'WARNING: checkpoint {path} is damaged: {reason[:200]}',
        file=sys.stderr,
      )
  if steps:
    raise errors.RunError(
      f'No checkpoint in {workdir} can be restored (tried {steps[::-1]}).'
    )
  return None


def check_fit(found: Any, expected: Any, where: str) -> None:
  """Compares the names and shapes of two trees of parameters.

  Raises:
    RunError: lists the differing parameters with both shapes.
  """
  found = flax.traverse_util.flatten_dict(found, sep='/')
  expected = flax.traverse_util.flatten_dict(expected, sep='/')
  lines = []
  for name in sorted(found | expected):
    shapes = [
      tree[name].shape if name in tree else 'missing'
      for tree in (found, expected)
    ]
    if shapes[0] != shapes[1]:
      lines.append(f'  {name}: {shapes[0]} saved, {shapes[1]} in the model')
  if lines:
    extra = len(lines) - (MAX_DIFFERENCES - 2)
    if extra > 1:
      lines[-extra:] = [f'  and {extra} more']
    raise errors.RunError(
      '\n'.join([f'{where} does not fit the model:', *lines])
    )
