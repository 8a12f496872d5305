"""A leading `~` and commas in paths."""

import pathlib

import pytest

from pic_jax.runtime import paths


@pytest.mark.parametrize(
  'text,expected',
  [
    ('~/run', '{home}/run'),
    ('~', '{home}'),
    ('~root', '~root'),  # may be the name of a file
    ('a/~/b', 'a/~/b'),
    ('', ''),
  ],
)
def test_a_leading_tilde_stands_for_the_home_folder(
  text, expected, tmp_path, monkeypatch
):
  monkeypatch.setenv('HOME', str(tmp_path))
  assert paths.expand(text) == expected.format(home=tmp_path)


def test_a_comma_may_be_part_of_a_path(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in ('a', 'lr=0.1,bs=4', 'x,y'):
    pathlib.Path(name).mkdir()
  assert paths.split('a') == ['a']
  assert paths.split('lr=0.1,bs=4') == ['lr=0.1,bs=4']
  assert paths.split('lr=0.1,bs=4@20') == ['lr=0.1,bs=4@20']
  assert paths.split('a,lr=0.1,bs=4,b') == ['a', 'lr=0.1,bs=4', 'b']
  assert paths.split('a,x,y,x,y@3,c') == ['a', 'x,y', 'x,y@3', 'c']
  assert paths.split('a,') == ['a', '']
