"""The published models: their files, cards, scores and names."""

import hashlib
import json
import pathlib
import re
import subprocess
import sys

import pytest

from configs import trained as trained_config
from pic_jax.data import input_pipeline
from pic_jax.evaluation import likelihood
from pic_jax.runtime import devices, errors
from pic_jax.saved import run_config, trained_model, weights_file

ROOT = pathlib.Path(__file__).parents[2]
# Bits/dim of the seven photographs in photos/, by the exact rule.
BITS_PER_DIM = {'cifar10': 3.09654, 'photos': 2.47381}
MAX_BYTES = 90e6


@pytest.mark.parametrize('name', BITS_PER_DIM)
def test_a_published_file_matches_its_description_and_card(name):
  path = weights_file.published()[name]
  description = json.loads(path.with_suffix('.json').read_text())
  data = path.read_bytes()
  assert hashlib.sha256(data).hexdigest() == description['sha256']
  assert len(data) < MAX_BYTES
  card = path.with_suffix('.md').read_text()
  assert description['sha256'] in card
  for word in ('Data', 'Hardware', 'bits/dim', 'Intended use', 'Limits'):
    assert word in card


def test_every_published_model_is_tested():
  assert set(weights_file.published()) == set(BITS_PER_DIM)


@pytest.mark.slow
@pytest.mark.parametrize('name', BITS_PER_DIM)
def test_published_weights_have_the_recorded_score_on_photographs(name):
  params, config, _ = trained_model.load_trained(name)
  with config.unlocked():
    config.data.name, config.data.data_dir = 'folder', str(ROOT / 'photos')
  source = input_pipeline.open_source(config.data, 'all')
  report = likelihood.evaluate(
    config, devices.replicate(params), source, num_images=-1
  )
  assert report['num_images'] == 7
  assert report['bits_per_dim'] == pytest.approx(BITS_PER_DIM[name], abs=2e-4)


def test_a_workdir_is_preferred_to_a_published_model_of_the_same_name(
  tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'photos').mkdir()  # a folder that is not a workdir
  assert trained_model.load('photos')[2] == 1200
  (tmp_path / 'photos' / 'checkpoints' / '3').mkdir(parents=True)
  with pytest.raises(errors.RunError, match='restored'):
    trained_model.load('photos')
  (tmp_path / 'cifar10').mkdir()
  # The workdir of a run that was killed before its first checkpoint.
  (tmp_path / 'cifar10' / 'config.json').touch()
  with pytest.raises(errors.RunError, match='no checkpoint'):
    trained_model.load('cifar10')


def test_the_workdir_flag_never_names_a_published_model(tmp_path):
  command = [sys.executable, ROOT / 'main.py', '--mode=eval']
  result = subprocess.run(
    [*command, '--workdir=cifar10'],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 1
  assert 'cifar10 has no checkpoint' in result.stderr.splitlines()[-1]


def test_the_config_trained_py_returns_the_stored_config(tmp_path):
  _, config, _ = trained_model.load('photos')
  assert trained_config.get_config('photos') == config
  assert trained_config.get_config().data.name == 'cifar10'
  (tmp_path / 'config.json').write_text(run_config.to_json(config))
  assert trained_config.get_config(str(tmp_path)) == config


def test_the_error_for_an_unknown_name_lists_the_published_models(tmp_path):
  with pytest.raises(errors.RunError, match='cifar10, photos'):
    trained_model.load(str(tmp_path / 'portraits'))


@pytest.mark.slow
def test_the_demo_colours_every_photograph(tmp_path):
  makefile = (ROOT / 'Makefile').read_text().replace('\\\n', ' ')
  (command,) = re.findall(r'-m (pic_jax colorize .*) -o', makefile)
  result = subprocess.run(
    [sys.executable, '-m', *command.split(), '-o', tmp_path],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 0, result.stderr
  report = json.loads((tmp_path / 'report.json').read_text())
  files = [path for path in (ROOT / 'photos').iterdir()]
  assert len(report['files']) == len(files) - 1  # without LICENCES.md
  for entry in report['files']:
    assert entry['status'] == 'done' and len(entry['samples']) == 4
    assert entry['difference'] > 1
  assert (tmp_path / 'contact_sheet.html').exists()
