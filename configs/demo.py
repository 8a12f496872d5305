"""What `make train-demo` trains: `cifar10_small` on patches of photographs.

  python main.py --config=configs/demo.py --workdir=/tmp/demo

About a minute on two CPU cores, and 3 minutes with compiling.
"""

import ml_collections

from configs import cifar10_small


def get_config() -> ml_collections.ConfigDict:
  """The photographs' right quarters are held out."""
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
