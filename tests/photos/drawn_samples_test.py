"""Numbers of drawn samples, as people read them."""

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
def test_a_range_begins_with_the_smallest_number(bits, text):
  assert drawn_samples.bits_text(bits) == text
