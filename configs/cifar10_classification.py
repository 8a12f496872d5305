"""Baseline: classification of chroma on CIFAR-10: 13.9 M parameters.

  python main.py --config=configs/cifar10_classification.py \
    --workdir=/tmp/classification

The loss of Zhang et al. 2016 on our embedding network: rare colours weighted
up, annealed mean. With `--config.model.head=classification_median` that of
Larsson et al. 2016: unweighted, median of the histogram. Not yet measured here.
"""

import ml_collections

from configs import cifar10_embedding


def get_config() -> ml_collections.ConfigDict:
  """The same network and recipe, a histogram of 260 bins for every pixel."""
  config = cifar10_embedding.get_config()
  config.model.head = 'classification'
  config.model.embedding_features = 260  # one for each bin
  return config
