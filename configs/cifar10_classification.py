"""Baseline that classifies chroma, on CIFAR-10: 13.9 M parameters.

  python main.py --config=configs/cifar10_classification.py \\
    --workdir=/tmp/classification

It trains our embedding network with the loss of Zhang et al. 2016: rare colours
have larger weights, and the prediction is the annealed mean. With
`--config.model.head=classification_median` it uses the loss of Larsson et al.
2016: colours have no weights, and the prediction is the median of the
histogram. This config has not been trained here yet.
"""

import ml_collections

from configs import cifar10_embedding


def get_config() -> ml_collections.ConfigDict:
  """Returns `cifar10_embedding` with a histogram of 260 bins per pixel."""
  config = cifar10_embedding.get_config()
  config.model.head = 'classification'
  config.model.embedding_features = 260  # one for each bin
  return config
