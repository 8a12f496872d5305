"""The config of a trained model, to change single fields.

    python main.py --mode=sample --checkpoint=photos \\
      --config=configs/trained.py:photos --config.sampling.num_samples=8

After the colon as after --checkpoint: a published model, a workdir, a file.
"""

import ml_collections

from pic_jax.saved import trained_model


def get_config(name: str = 'cifar10') -> ml_collections.ConfigDict:
  """As it stands in the workdir or file."""
  return trained_model.load_config(name)
