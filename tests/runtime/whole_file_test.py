"""A file is replaced as a whole, or stays unchanged."""

import pytest

from pic_jax.runtime import whole_file


def test_a_failure_keeps_the_earlier_file_and_leaves_no_other(tmp_path):
  path = tmp_path / 'a.txt'
  whole_file.write_text(path, 'first')
  with pytest.raises(RuntimeError), whole_file.writing(path) as temporary:
    temporary.write_text('half')
    raise RuntimeError
  assert path.read_text() == 'first'
  assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_whole_and_errors_name_it(tmp_path):
  path = tmp_path / f'{"n" * 250}.txt'  # almost as long as disks allow
  with whole_file.writing(path) as temporary:
    temporary.write_bytes(b'all of it')
    assert not path.exists()
  assert path.read_bytes() == b'all of it'
  with pytest.raises(OSError) as error, whole_file.writing(path):
    raise OSError(28, 'No space left on device')
  assert error.value.filename == str(path)
  missing = tmp_path / 'missing' / 'a.txt'
  with pytest.raises(FileNotFoundError) as error:
    whole_file.write_text(missing, 'text')
  assert error.value.filename == str(missing)
