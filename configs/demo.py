"""The model of `cifar10_small` on patches of the photographs in photos/.

  python main.py --config=configs/demo.py --workdir=/tmp/demo

`make train-demo` runs it. Training takes about a minute on two CPU cores, or
3 minutes including compilation.
"""

import ml_collections

from configs import cifar10_small


def get_config() -> ml_collections.ConfigDict:
  """Returns the config; the right quarter of each photograph is held out."""
  config = cifar10_small.get_config()
  config.data.name = 'patches'
  config.data.data_dir = 'photos'
  config.data.train_split = 'train'
  config.data.validation_split = 'test[:50%]'
  config.data.test_split = 'test[50%:]'
  config.training.num_steps = 600
  config.training.batch_size = 8
  config.training.log_every_steps = 50
  config.training.checkpoint_every_steps = 300
  config.training.eval_every_steps = 300
  config.training.sample_every_steps = 600
  config.evaluation.batch_size = 50
  config.evaluation.num_validation_images = 200
  config.sampling.num_images = 8
  config.sampling.batch_size = 8
  config.sampling.num_samples = 4
  return config
