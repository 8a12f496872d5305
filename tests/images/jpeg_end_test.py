"""JPEG files without an end marker: complete or damaged."""

import numpy as np
import pytest
from PIL import Image

from pic_jax.images import image_files
from tests import running, tiny


def test_a_jpeg_that_lacks_only_its_end_marker_is_read_with_a_note():
  source = running.ROOT / 'tests' / 'cases' / 'jpeg_without_end' / 'noeoi.jpg'
  photograph = image_files.load_photograph(source)
  assert 'last two bytes' in photograph.notes[0]
  whole = source.read_bytes() + b'\xff\xd9'
  expected = image_files.decode_photograph(whole)
  np.testing.assert_array_equal(photograph.rgb, expected.rgb)
  assert not expected.notes


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('subsampling', [0, 2])
def test_a_jpeg_that_lacks_pixels_is_refused_as_damaged(
  progressive, subsampling, tmp_path
):
  path = tmp_path / 'a.jpg'
  rng = np.random.default_rng(0)
  Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(
    path, progressive=progressive, subsampling=subsampling
  )
  data = path.read_bytes()
  whole = image_files.decode_photograph(data)
  for count in range(1, 60):
    try:
      found = image_files.decode_photograph(data[:-count])
    except image_files.errors.RunError as error:
      assert 'damaged' in str(error)
      continue
    np.testing.assert_array_equal(found.rgb, whole.rgb)
    assert count <= 3  # without more bytes, pixels are missing


@pytest.mark.parametrize('progressive', [False, True])
def test_a_jpeg_with_zeros_in_place_of_pixels_is_refused_as_damaged(
  progressive, tmp_path
):
  """An interrupted copy may have its full size, with zeros at the end."""
  path = tmp_path / 'a.jpg'
  rng = np.random.default_rng(0)
  Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(
    path, progressive=progressive
  )
  data = path.read_bytes()
  kept = len(data) * 2 // 3
  with pytest.raises(image_files.errors.RunError, match='damaged'):
    image_files.decode_photograph(data[:kept] + bytes(len(data) - kept))


def test_a_video_after_the_photograph_does_not_count_as_a_missing_end(tmp_path):
  path = tmp_path / 'a.jpg'
  Image.fromarray(tiny.images(1, 48, 64)[0]).save(path)
  video = b'\0\0\0\x18ftypmp42' + bytes(100_000)
  photograph = image_files.decode_photograph(path.read_bytes() + video)
  assert photograph.notes == ()
