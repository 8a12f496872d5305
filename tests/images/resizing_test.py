"""The part of a picture that each resizing method keeps."""

import numpy as np
import pytest

from pic_jax.images import resizing
from tests import tiny

LEVELS = (0, 200, 100)  # of the three squares in `thirds`


def thirds(axis: int) -> np.ndarray:
  """Three squares: [60, 20, 3] uint8 for axis 0, [20, 60, 3] for axis 1."""
  squares = [np.full((20, 20, 3), level, np.uint8) for level in LEVELS]
  return np.concatenate(squares, axis)


@pytest.mark.parametrize('axis', [0, 1])
def test_crop_keeps_the_central_square_and_squash_keeps_all(axis):
  cropped = resizing.fit(thirds(axis), 9, 'crop')
  assert cropped.shape == (9, 9, 3) and (abs(cropped - 200.0) <= 15).all()
  squashed = resizing.fit(thirds(axis), 9, 'squash')
  assert squashed.shape == (9, 9, 3)
  middles = squashed[4, [1, 4, 7]] if axis else squashed[[1, 4, 7], 4]
  expected = np.repeat(np.array(LEVELS)[:, None], 3, 1)
  np.testing.assert_allclose(middles, expected, atol=5)


@pytest.mark.parametrize('method', resizing.METHODS)
def test_a_picture_of_the_right_size_stays_unchanged(method):
  square = tiny.images(1, 17, 17)[0]
  np.testing.assert_array_equal(resizing.fit(square, 17, method), square)


def test_crop_and_squash_scale_a_square_alike():
  square = tiny.images(1, 23, 23)[0]
  np.testing.assert_array_equal(
    resizing.fit(square, 11, 'crop'), resizing.fit(square, 11, 'squash')
  )
