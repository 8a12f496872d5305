"""Text about the bits/dim of samples."""

import pytest

from pic_jax.photos import drawn_samples


@pytest.mark.parametrize(
  ('bits', 'text'),
  [
    ([10.02, 9.98], '9.98 to 10.02 bits/dim'),
    ([2.501, 2.499], '2.50 bits/dim'),
    ([3.0, None], ''),
  ],
)
def test_bits_text_is_a_range_or_one_value_or_empty(bits, text):
  assert drawn_samples.bits_text(bits) == text
