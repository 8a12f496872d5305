"""Learning curves: reading a log, and plotting it."""

import json
import pathlib

import matplotlib.axes
import numpy as np
import pytest
from PIL import Image

from pic_jax.evaluation import learning_curve
from pic_jax.runtime import errors
from pic_jax.saved import run_config
from tests import tiny


def write_run(folder, *records):
  """Writes a run whose log ends in half a line; returns its batch size."""
  folder.mkdir()
  config = tiny.config('smoke')
  (folder / 'config.json').write_text(run_config.to_json(config))
  lines = [json.dumps(record) for record in records]
  (folder / 'metrics.jsonl').write_text('\n'.join([*lines, '{"step": 9, "va']))
  return config.training.batch_size


def test_a_curve_is_the_validation_score_over_images(tmp_path):
  batch_size = write_run(
    tmp_path / 'run',
    {'step': 1, 'bits_per_dim': 9.0},
    {'step': 10, 'validation_bits_per_dim': 4.0},
    {'step': 20, 'validation_bits_per_dim': 5.0},
    {'step': 20, 'validation_bits_per_dim': 3.0},  # again, after a kill
  )
  assert learning_curve.read(tmp_path / 'run') == {
    10 * batch_size: 4,
    20 * batch_size: 3,
  }


def test_a_changed_batch_size_counts_from_its_step_on(tmp_path):
  def change(step, old_size, new_size):
    return {
      'step': step,
      'config_changes': {'training.batch_size': [old_size, new_size]},
    }

  def score(step):
    return {'step': step, 'validation_bits_per_dim': float(step)}

  batch_size = write_run(
    tmp_path / 'run',
    score(10),
    change(15, 4, 6),
    score(20),
    change(10, 4, 8),  # steps after 10 are trained again
    score(20),
    {'step': 20, 'config_changes': {'training.num_steps': [20, 40]}},
    change(30, 8, 16),
    score(40),
  )
  assert learning_curve.read(tmp_path / 'run') == {
    40: 10.0,
    40 + 10 * 8: 20.0,
    40 + 20 * 8 + 10 * batch_size: 40.0,
  }


def test_a_curve_is_plotted(tmp_path):
  write_run(tmp_path / 'run', {'step': 1, 'validation_bits_per_dim': 4.0})
  path = tmp_path / 'new' / 'curve.png'
  learning_curve.plot([tmp_path / 'run'], path)
  with Image.open(path) as image:
    assert np.asarray(image.convert('L')).std() > 5


def test_runs_with_the_same_name_are_labelled_with_their_paths(
  tmp_path, monkeypatch
):
  for parent in 'ab':
    (tmp_path / parent).mkdir()
    write_run(
      tmp_path / parent / 'run', {'step': 1, 'validation_bits_per_dim': 4.0}
    )
  labels = []
  plot = matplotlib.axes.Axes.plot
  monkeypatch.setattr(
    matplotlib.axes.Axes,
    'plot',
    lambda *args, label, **kwargs: (
      labels.append(label) or plot(*args, label=label, **kwargs)
    ),
  )
  runs = [tmp_path / parent / 'run' for parent in 'ab']
  learning_curve.plot(runs, tmp_path / 'curve.png')
  assert labels == [str(run) for run in runs]
  monkeypatch.chdir(runs[0])
  learning_curve.plot([pathlib.Path('.')], tmp_path / 'curve.png')
  assert labels[-1] == 'run'


def test_folders_without_a_run_or_without_scores_are_refused(tmp_path):
  with pytest.raises(errors.UserError, match='not the workdir'):
    learning_curve.read(tmp_path)
  write_run(tmp_path / 'run', {'step': 1, 'bits_per_dim': 4.0})
  with pytest.raises(errors.UserError, match='eval_every_steps'):
    learning_curve.read(tmp_path / 'run')
  with (tmp_path / 'run' / 'metrics.jsonl').open('ab') as file:
    file.write(b'\n7\n\xff\n{"step": 2, "validation_loss": 1.0}\n')
  with pytest.raises(errors.UserError, match='no bits/dim'):
    learning_curve.read(tmp_path / 'run')
