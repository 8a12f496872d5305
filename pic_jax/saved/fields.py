"""The fields of a config: their types, their ranges, and when they came."""

import dataclasses

from pic_jax.model import pic

# Sections and the type of each field. `model` follows from `PIC`.
TYPES: dict[str, dict[str, type]] = {
  'data': {
    'name': str,
    'data_dir': str,
    'train_split': str,
    'validation_split': str,
    'test_split': str,
    'image_size': int,
    'resize': str,
    'mixture': tuple,
    'smallest_crop': float,
    'chroma_filter': str,
  },
  'optimizer': {
    'learning_rate': float,
    'decay_rate': float,
    'cooldown_share': float,
    'b1': float,
    'b2': float,
    'eps': float,
    'ema_decay': float,
  },
  'training': {
    'seed': int,
    'batch_size': int,
    'accumulation_steps': int,
    'num_steps': int,
    'init_from': str,
    'log_every_steps': int,
    'checkpoint_every_steps': int,
    'num_checkpoints': int,
    'eval_every_steps': int,
    'sample_every_steps': int,
    'heartbeat_seconds': int,
    'rebalancing_share': float,
  },
  'evaluation': {
    'batch_size': int,
    'num_images': int,
    'num_sampled_images': int,
    'num_validation_images': int,
  },
  'sampling': {
    'seed': int,
    'batch_size': int,
    'num_images': int,
    'num_samples': int,
    'temperature': float,
    'method': str,
  },
  'model': {
    field.name: tuple if field.name == 'embedding_stages' else field.type
    for field in dataclasses.fields(pic.PIC)
    if field.name not in ('parent', 'name')
  },
}
# Numbers that may be 0 or below; all others must be positive.
NON_POSITIVE = {
  'seed',
  'num_images',
  'num_sampled_images',
  'num_validation_images',
  'temperature',
  'dropout_rate',
  'embedding_loss_weight',
  'cooldown_share',
  'eval_every_steps',
  'sample_every_steps',
}
# Numbers of images: positive, or -1 for all.
COUNTS = (
  ('evaluation', 'num_images'),
  ('evaluation', 'num_sampled_images'),
  ('evaluation', 'num_validation_images'),
  ('sampling', 'num_images'),
)
# Fields that configs written by older versions lack: what those did.
ADDED = {
  ('training', 'heartbeat_seconds'): 100,
  ('optimizer', 'cooldown_share'): 0.0,
  ('model', 'head'): 'decoder',
  ('model', 'point_estimate'): 'annealed_mean',
  ('training', 'rebalancing_share'): 0.5,
  ('data', 'resize'): 'crop',
  ('data', 'mixture'): (),
  ('data', 'smallest_crop'): 1.0,
  ('evaluation', 'num_sampled_images'): 1000,
}
