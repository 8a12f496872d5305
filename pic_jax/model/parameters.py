"""Shapes and initial values of the parameters of `PIC`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.model import backbone_embedding, layers, levels, pic

# Nested dicts of arrays; the keys are the names of modules and parameters.
Params = dict[str, Any]


@functools.cache  # tracing takes a second, and a run calls this repeatedly
def shapes(model: pic.PIC, image_size: int) -> Params:
  """Returns the shapes of a model's parameters without computing any values.

  Args:
    model: the network.
    image_size: side of the square images in pixels.

  Returns:
    The tree of parameters with a `jax.ShapeDtypeStruct` for each array. It is
    cached, so callers must not change it.
  """
  chroma_size = image_size // model.chroma_factor
  return jax.eval_shape(
    model.init,
    jax.random.key(0),
    jnp.zeros((1, image_size, image_size, 1)),
    jnp.zeros((1, chroma_size, chroma_size, 2)),
  )['params']


def initial(
  model: pic.PIC,
  batch: pic.LabBatch,
  seed: int,
  *,
  backbone: Params | None = None,
) -> Params:
  """Initialises all parameters of a model.

  The directions V of the kernels are random. Numpy draws them, because a jitted
  graph with a random draw for each of sixty kernels takes a minute to compile.
  One jitted pass over the first batch then sets the gains g and the biases b
  (see `layers.WeightNormConv`).

  Args:
    model: the network.
    batch: first global batch.
    seed: seed of the random directions.
    backbone: pretrained parameters of the backbone, or None for random ones.

  Returns:
    The tree of parameters, float32.
  """
  rng = np.random.default_rng(seed)

  def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    if path[-1].key == 'hints':
      return np.zeros(leaf.shape, np.float32)
    if path[-1].key == 'kernel':  # of the backbone; He et al. 2015
      deviation = np.float32(np.sqrt(2.0 / np.prod(leaf.shape[:-1])))
      return deviation * rng.standard_normal(leaf.shape, np.float32)
    return _draw_direction(rng, leaf)

  @jax.jit
  def initialize(
    params: Params, luminance: jax.Array, chroma: jax.Array
  ) -> Params:
    _, updates = model.apply(
      {'params': params}, luminance, chroma, mutable=['params']
    )
    return updates['params']

  params = jax.tree.map_with_path(draw, shapes(model, model.coarsest_factor))
  if backbone is not None:
    backbone_embedding.params_of(params).update(backbone)
  return initialize(params, batch.luminance, batch.chroma)


def with_missing_networks(
  model: pic.PIC, params: Params, batch: pic.LabBatch, *, seed: int
) -> Params:
  """Initialises the decoder and finer levels that have no parameters yet.

  Args:
    model: the network.
    params: parameters of the network. The decoder and some finer levels may be
      missing.
    batch: first global batch, which sets the gains and biases of the missing
      networks.
    seed: seed of the random directions of the missing networks.

  Returns:
    `params`, with the parameters of all networks.
  """
  expected = shapes(model, model.coarsest_factor)
  missing = sorted(expected.keys() - params.keys())
  embedding_net = model.build_embedding(returns_backbone_maps=True)
  embedding, features = jax.jit(embedding_net.apply)(
    {'params': params['embedding']}, batch.luminance
  )
  maps = levels.pyramid(batch.chroma, None, model.levels)
  rng = np.random.default_rng(seed)
  params = dict(params)
  for name in missing:
    drawn = jax.tree.map(
      lambda leaf: _draw_direction(rng, leaf), expected[name]
    )
    if name == 'decoder':
      apply_fn = functools.partial(
        model.build_decoder().apply, canvas=maps[0].chroma, embedding=embedding
      )
    else:
      level = int(name.removeprefix('level_'))
      apply_fn = functools.partial(
        model.build_level().apply,
        luminance=batch.luminance,
        embedding=embedding,
        features=features,
        coarse=maps[level - 1],
        fine=maps[level],
      )
    _, updates = jax.jit(functools.partial(apply_fn, mutable=['params']))(
      {'params': drawn}
    )
    params[name] = updates['params']
  return params


def _draw_direction(
  rng: np.random.Generator, leaf: jax.ShapeDtypeStruct
) -> np.ndarray:
  """Draws the directions of a kernel; returns zeros for gains and biases."""
  if len(leaf.shape) == 1:
    return np.zeros(leaf.shape, np.float32)
  # The standard deviation is that of Salimans et al. 2017. Adam's steps do not
  # grow with the length of the directions, so directions with a standard
  # deviation of 1 would hardly turn. That costs 0.2 bits/dim after 1,000 steps.
  deviation = np.float32(layers.DIRECTION_STDDEV)
  return deviation * rng.standard_normal(leaf.shape, np.float32)


def with_hint_kernel(params: Params, expected: Params) -> Params:
  """Adds a kernel of zeros for hints, if the model reads hints.

  Parameters that have this kernel, or do not need it, are returned unchanged.

  Args:
    params: parameters of a model that may have been trained without hints.
    expected: shapes of the parameters that the model needs, see `shapes`.
  """
  if 'hints' not in expected['embedding'] or 'hints' in params['embedding']:
    return params
  zeros = np.zeros(expected['embedding']['hints'].shape, np.float32)
  return params | {'embedding': params['embedding'] | {'hints': zeros}}
