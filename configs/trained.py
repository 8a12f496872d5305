"""The config of a trained model, with fields that can be overridden.

  python main.py --mode=sample --checkpoint=photos \\
    --config=configs/trained.py:photos --config.sampling.num_samples=8

The text after the colon names the model, as for --checkpoint: a published
model, a workdir or a .safetensors file.
"""

import ml_collections

from pic_jax.saved import trained_model


def get_config(name: str = 'cifar10') -> ml_collections.ConfigDict:
  """Returns the config that is stored with a trained model."""
  return trained_model.load_config(name)
