"""The fields of a config, each with its default value and what it is."""

import ml_collections


def _data() -> ml_collections.ConfigDict:
  data = ml_collections.ConfigDict()
  data.name = 'cifar10'  # tfds, 'folder', 'array' or 'patches'
  data.data_dir = ''  # folder of images, arrays, or tfds ('': its default)
  data.train_split = 'train'
  data.validation_split = 'train'  # all choices are made on this
  data.test_split = 'test'  # read by --mode=eval, sample and figures only
  data.image_size = 32  # pixels; others are fitted
  data.resize = 'crop'  # short side, centre; 'squash': both sides (authors)
  # Also trained on: (share, name, data_dir, split), ...; a fifth number is how
  # many finer levels of the model its photographs teach (all, if left out).
  data.mixture = ()
  data.smallest_crop = 1.0  # share of the side; 1: whole images
  data.film_share = 0.0  # of training images, shown through random old film
  data.max_unreadable = -1  # images; -1: 1 % in training, 0 in evaluation
  return data


def _model() -> ml_collections.ConfigDict:
  model = ml_collections.ConfigDict()
  model.embedding_stages = ((32, 1, 1, 1), (64, 2, 1, 1))  # Table 1
  model.embedding_features = 80  # width of the last convolution
  model.chroma_factor = 2  # the product of the strides above
  model.backbone = 'none'  # beside them; or 'efficientnet_lite0'
  model.frozen_parts = 17  # of the backbone, the first that do not learn: all
  model.head = 'decoder'  # or one of the embedding alone, see `pic.HEADS`
  model.levels = 0  # the decoder's map is refined so often; none in the paper
  model.level_features = 48  # channels of the networks that refine
  model.level_blocks = 2  # per stage, of which each of them has two
  model.chroma_filter = 'point'  # 'point' (paper) or 'area'
  model.decoder_features = 160  # channels, sec. 4.1
  model.decoder_blocks = 4  # per stream, sec. 4.1
  model.attention_heads = 0  # looks at all earlier pixels; none in the paper
  model.num_components = 10  # logistics, sec. 3.2
  model.gated = True  # sec. 4.4
  model.dropout_rate = 0.5  # authors' code
  model.embedding_loss_weight = 1.0  # authors' code: auxiliary mixture
  model.hint_share = 0.0  # of training images, some cells are given; 0: none
  model.remat = False  # recompute activations to save memory
  model.dtype = 'auto'  # bfloat16 on TPU and GPU, float32 on CPU
  return model


def _optimizer() -> ml_collections.ConfigDict:
  optimizer = ml_collections.ConfigDict()
  optimizer.name = 'adam'  # sec. 3.3; 'muon': hidden directions by Muon
  optimizer.learning_rate = 1e-3  # of Adam, sec. 3.3
  optimizer.muon_learning_rate = 0.014  # radians per step
  optimizer.decay_rate = 1.0  # factor of the rates, per step
  optimizer.cooldown_share = 0.0  # of all steps: at the end, in a line to 0
  optimizer.b1 = 0.95  # sec. 3.3
  optimizer.b2 = 0.9995  # sec. 3.3
  optimizer.eps = 1e-6  # authors' code
  optimizer.ema_decay = 0.999  # authors' code: Polyak averaging
  return optimizer


def _training() -> ml_collections.ConfigDict:
  training = ml_collections.ConfigDict()
  training.seed = 0  # directions, order, flips, dropout
  training.batch_size = 64  # images per step, all devices; sec. 4.1
  training.num_steps = 1000
  training.init_from = ''  # workdir, workdir@step or .safetensors
  training.frozen = ()  # networks that do not learn, like 'decoder'
  training.backbone_weights = ''  # what a backbone starts from, .safetensors
  training.log_every_steps = 100
  training.checkpoint_every_steps = 2000
  training.num_checkpoints = 3  # the last ones are kept
  training.eval_every_steps = 5000  # 0: never
  training.sample_every_steps = 5000  # 0: never
  training.heartbeat_seconds = 100  # a silent process ends the others
  return training


def _evaluation() -> ml_collections.ConfigDict:
  evaluation = ml_collections.ConfigDict()
  evaluation.batch_size = 250  # images, all devices of all hosts
  evaluation.num_images = -1  # of --mode=eval; -1: all
  evaluation.num_sampled_images = 0  # drawn and measured, too; -1: all
  evaluation.num_coded_images = 0  # by a range coder, and decoded; -1: all
  evaluation.num_validation_images = -1  # while training; -1: all
  evaluation.compare_with = ''  # folders X,Y of other methods' pictures
  return evaluation


def _sampling() -> ml_collections.ConfigDict:
  sampling = ml_collections.ConfigDict()
  sampling.seed = 0
  sampling.batch_size = 16  # images, all devices of all hosts
  sampling.num_images = 16  # the first ones; -1: all
  sampling.num_samples = 6  # colourisations per image
  sampling.temperature = 1.0  # 0: the mode of every pixel
  sampling.guidance = 0.0  # by the embedding; 0: the model's own samples
  sampling.num_candidates = 16  # for each pixel, where something guides
  sampling.photo_temperature = 1.0  # of pic-jax, where it is not told another
  sampling.photo_guidance = 0.0  # likewise
  sampling.method = 'cached'  # 'cached', 'parallel' or 'naive'
  return sampling


def defaults() -> ml_collections.ConfigDict:
  """All fields of a config, once; files in `configs/` set what differs.

  A field that an older file lacks has the value here: what the code did before
  the field existed. `model` holds the fields of `PIC`, which explains them.
  """
  sections = {
    'data': _data(),
    'model': _model(),
    'optimizer': _optimizer(),
    'training': _training(),
    'evaluation': _evaluation(),
    'sampling': _sampling(),
  }
  return ml_collections.ConfigDict(sections).lock()
