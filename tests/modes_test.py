"""Combinations of flags that a mode refuses."""

import types

import pytest

from pic_jax import modes
from pic_jax.runtime import errors


@pytest.mark.parametrize('name', ['num_coded_images', 'num_feature_images'])
def test_measures_of_clean_images_are_not_combined_with_a_film(name):
  counts = {'num_coded_images': 0, 'num_feature_images': 0}
  flags = types.SimpleNamespace(film='grain', **(counts | {name: 5}))
  with pytest.raises(errors.UserError, match=f'--{name} .* without a film'):
    modes.evaluate(flags)
