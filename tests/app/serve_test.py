"""The commands `pic-jax app` and `pic-jax warm-up`."""

import pytest

from pic_jax import __main__
from pic_jax.app import serve, studio
from pic_jax.saved import weights_file
from tests import tiny


def test_host_names_are_allowed_on_the_command_line(monkeypatch):
  served = []
  monkeypatch.setattr(
    serve, 'run', lambda *args, **named: served.append((*args, named))
  )
  __main__.main(
    ['app', '--host', '0.0.0.0', '--allow', 'MyPC.local']
    + ['--allow=photos.example.org', '--no-browser']
  )
  ((source, site, port, named),) = served
  assert (source, port, named) == ('photos', 8000, {'open_browser': False})
  assert site.host == '0.0.0.0'
  assert site.has('mypc.local:8000') and site.has('photos.example.org')
  assert not site.has('other.example.org')


@pytest.mark.slow
def test_warm_up_reports_its_progress_and_its_end(monkeypatch, tmp_path, capfd):
  path = tmp_path / 'tiny.safetensors'
  weights_file.save(path, *tiny.hinted_model(), step=0)
  monkeypatch.setattr(studio, 'ASPECTS', studio.ASPECTS[:2])
  __main__.main(['warm-up', f'--model={path}'])
  said = capfd.readouterr().err
  assert '1 of 2 shapes' in said
  assert said.splitlines()[-1].startswith('Ready')
