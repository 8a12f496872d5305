"""A tiny PIC on patches of the photographs that ship with this repository.

  python main.py --config=configs/smoke.py --workdir=/tmp/smoke

Training takes seconds on two CPU cores. It shows that everything runs; the
model learns next to nothing.
"""

import ml_collections

from configs import demo


def get_config() -> ml_collections.ConfigDict:
  """Returns `demo` with eight channels and twenty steps."""
  config = demo.get_config()
  config.model.embedding_stages = ((8, 1, 1, 1), (8, 2, 1, 2))
  config.model.decoder_features = 8
  config.model.decoder_blocks = 1
  config.training.num_steps = 20
  config.training.log_every_steps = 10
  config.training.checkpoint_every_steps = 10
  config.training.eval_every_steps = 20
  config.training.sample_every_steps = 20
  config.evaluation.batch_size = 32
  config.evaluation.num_validation_images = 64
  config.sampling.num_images = 4
  config.sampling.num_samples = 2
  return config
