"""Frequencies of colours in training data (Zhang et al. 2016, sec. 2.2)."""

import contextlib

import jax
import numpy as np

from pic_jax.data import image_source, unreadable
from pic_jax.images import color
from pic_jax.model import classification_head, pic

# Number of training images whose colours are counted.
MAX_IMAGES = 5000
# Number of images that are counted at a time.
CHUNK = 250


def class_weights(
  model: pic.PIC, source: image_source.ImageSource
) -> np.ndarray | None:
  """Computes the weights of the colour bins from the first training images.

  Args:
    model: model; only the head 'classification' has weights.
    source: training images; see `input_pipeline.open_source`.

  Returns:
    Weights [Q] of the Q bins; None for other heads.
  """
  if model.head != 'classification':
    return None

  @jax.jit
  def count(rgb: jax.Array) -> jax.Array:
    lab = model.split_lab(rgb)
    return classification_head.count(color.chroma_from_network(lab.chroma))

  total = min(len(source), MAX_IMAGES)
  counts = np.zeros(len(classification_head.bins()), np.int64)
  for first in range(0, total, CHUNK):
    images = []
    for index in range(first, min(first + CHUNK, total)):
      with contextlib.suppress(unreadable.UnreadableError):
        images.append(source[index])
    if images:
      counts = counts + np.asarray(count(np.stack(images)))
  return classification_head.class_weights(counts)
