"""Learning curves: what is read of a log, and that it is drawn."""

import json

import numpy as np
import pytest
from PIL import Image

from pic_jax import config as config_lib
from pic_jax import learning_curve, paper_figures
from tests import tiny


def write_run(folder, *records):
  folder.mkdir()
  config = tiny.config('smoke')
  (folder / 'config.json').write_text(config_lib.to_json(config))
  lines = [json.dumps(record) for record in records]
  (folder / 'metrics.jsonl').write_text('\n'.join([*lines, '{"step": 9, "va']))
  return config.training.batch_size


def test_a_curve_is_the_validation_score_over_images(tmp_path):
  batch = write_run(
    tmp_path / 'run',
    {'step': 1, 'bits_per_dim': 9.0},
    {'step': 10, 'validation_bits_per_dim': 4.0},
    {'step': 20, 'validation_bits_per_dim': 5.0},
    {'step': 20, 'validation_bits_per_dim': 3.0},  # redone after a kill
  )
  assert learning_curve.read(tmp_path / 'run') == {10 * batch: 4, 20 * batch: 3}


def test_it_is_drawn(tmp_path):
  write_run(tmp_path / 'run', {'step': 1, 'validation_bits_per_dim': 4.0})
  path = tmp_path / 'new' / 'curve.png'
  learning_curve.draw([tmp_path / 'run'], path)
  with Image.open(path) as image:
    assert np.asarray(image.convert('L')).std() > 5


def test_what_is_no_run_or_never_evaluated_is_refused(tmp_path):
  with pytest.raises(paper_figures.FigureError, match='not the workdir'):
    learning_curve.read(tmp_path)
  write_run(tmp_path / 'run', {'step': 1, 'bits_per_dim': 4.0})
  with pytest.raises(paper_figures.FigureError, match='eval_every_steps'):
    learning_curve.read(tmp_path / 'run')
