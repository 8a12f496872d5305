"""PIC without the gating non-linearity (paper sec. 4.4): 17.9 M parameters.

  python main.py --config=configs/cifar10_no_gating.py --workdir=/tmp/no_gating

This config has not been trained here yet. The paper reports 2.78 bits/dim, and
2.72 with gating (paper's rule, point filter, 16 x 16 chroma).
"""

import ml_collections

from configs import cifar10


def get_config() -> ml_collections.ConfigDict:
  """Returns `cifar10` without gating."""
  config = cifar10.get_config()
  config.model.gated = False
  return config
