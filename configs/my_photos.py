"""The published model `photos`, fine-tuned on a folder of your own photographs.

  python main.py --config=configs/my_photos.py --workdir=runs/mine \\
    --config.data.data_dir=FOLDER

docs/tutorial.md explains it step by step, with times and bits/dim.
"""

import ml_collections

from pic_jax.saved import trained_model


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of `photos` with low learning rates that decay to 0."""
  config = trained_model.load_config('photos')
  config.data.name = 'folder'
  config.data.data_dir = 'my_photos'
  config.data.train_split = 'train[:80%]'
  config.data.validation_split = 'train[80%:90%]'
  config.data.test_split = 'train[90%:]'
  config.data.mixture = ()
  config.optimizer.learning_rate = 6e-4
  config.optimizer.muon_learning_rate = 0.006
  config.optimizer.cooldown_share = 1.0
  config.training.init_from = 'photos'
  config.training.backbone_weights = ''
  config.training.frozen = ()
  config.training.batch_size = 16
  config.training.num_steps = 150
  config.training.log_every_steps = 10
  config.training.checkpoint_every_steps = 50
  config.training.eval_every_steps = 50
  config.training.sample_every_steps = 150
  config.evaluation.batch_size = 25
  config.evaluation.num_validation_images = -1
  config.sampling.num_images = 8
  config.sampling.batch_size = 8
  config.sampling.num_samples = 4
  return config
