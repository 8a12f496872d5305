"""The training state and the training step (paper sec. 3.3, eq. 3)."""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from pic_jax.images import color, film
from pic_jax.model import (
  hints,
  levels,
  logistic_mixture,
  parameters,
  pic,
  winograd,
)
from pic_jax.runtime import devices


class TrainState(flax.struct.PyTreeNode):
  """All arrays of a checkpoint.

  Attributes:
    step: [] int32, number of steps done.
    params: parameters of `PIC`.
    ema_params: exponential moving average of the parameters (Polyak averaging).
    opt_state: state of the optimiser; see `optimizers`.
    num_skipped: [] int32, number of updates that were skipped because the loss
      or the gradient was not finite.
    skipped_in_row: [] int32, number of updates skipped since the last good one.
  """

  step: jax.Array
  params: parameters.Params
  ema_params: parameters.Params
  opt_state: Any
  num_skipped: jax.Array
  skipped_in_row: jax.Array


def create(
  params: parameters.Params, optimizer: optax.GradientTransformation
) -> TrainState:
  """Creates the state at step 0, where the average equals the parameters."""
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema_params=jax.tree.map(jnp.copy, params),
    opt_state=optimizer.init(params),
    num_skipped=jnp.zeros((), jnp.int32),
    skipped_in_row=jnp.zeros((), jnp.int32),
  )


def _norm(arrays: list[jax.Array]) -> jax.Array:
  """Computes the Euclidean norm [] of the values of several arrays."""
  # XLA compiles a dot product faster than the squares and their sum.
  squares = [jnp.vdot(x, x, precision='highest') for x in arrays]
  return jnp.sqrt(functools.reduce(operator.add, squares))


def group_norms(tree: Any) -> dict[str, jax.Array]:
  """Computes the Euclidean norm of every layer or block.

  Args:
    tree: parameters or gradients of `PIC`.

  Returns:
    Norms [], keyed by 'network/layer', for instance 'decoder/head'.
  """
  return {
    f'{network}/{layer}': _norm(jax.tree.leaves(leaves))
    for network, layers in tree.items()
    for layer, leaves in layers.items()
  }


def ema_decay_at(step: jax.Array, ema_decay: float) -> jax.Array:
  """Computes the decay of the average at a step, counted from 0.

  It is min(ema_decay, (1 + step) / (10 + step)). The second term makes the
  average of a short run forget the initial weights.
  """
  return jnp.minimum(ema_decay, (1.0 + step) / (10.0 + step))


def average(mean: Any, new: Any, decay: jax.Array) -> Any:
  """Updates an exponential moving average.

  Where `new` equals `mean`, rounding does not change the average.
  """
  return jax.tree.map(lambda x, y: x + (1.0 - decay) * (y - x), mean, new)


class Recipe(NamedTuple):
  """Settings of a training step that do not belong to the network.

  Attributes:
    ema_decay: decay of the averaged parameters.
    class_weights: [Q] weights of the colour bins; see
      `classification_head.class_weights`. None for other heads.
    film_share: share of the images that are rendered as if photographed on old
      film; see `film.through_film`.
    frozen: names of the networks (keys of the parameters) that do not learn.
    levels_taught: [B] index of the finest level that each image of the global
      batch teaches (0 is the coarsest). An image contributes to the losses of
      this level and all coarser levels. None if every image teaches all levels.
  """

  ema_decay: float
  class_weights: np.ndarray | None = None
  film_share: float = 0.0
  frozen: tuple[str, ...] = ()
  levels_taught: np.ndarray | None = None


def _stop_frozen(params: parameters.Params, frozen: tuple[str, ...]) -> dict:
  """Stops the gradients of frozen networks."""
  return {
    name: jax.lax.stop_gradient(x) if name in frozen else x
    for name, x in params.items()
  }


def _level_bits(scores: pic.Scores, num_unknown: jax.Array) -> list[jax.Array]:
  """Computes the bits of each level per unknown chroma value.

  Unknown values are the values of the finest map that are not hints.

  Args:
    scores: log-probabilities of a batch.
    num_unknown: [B] number of pixels of the finest map that are not hints.

  Returns:
    Bits/dim [B] of each level, coarsest first.
  """
  dims = 2.0 * jnp.maximum(num_unknown, 1.0)
  return [
    logistic_mixture.bits_per_image(log_prob) / dims
    for log_prob in scores.level_log_probs
  ]


def _image_weights(recipe: Recipe, level: int, num_images: int) -> jax.Array:
  """Computes the weights of the images of this device in the loss of a level.

  An image that does not contribute to the level has the weight 0. All others
  have the weight 1 / (share of the global batch that contributes). The weighted
  mean over all images of all devices is therefore the mean over those that
  contribute.

  Args:
    recipe: settings of the step.
    level: index of the level; 0 is the coarsest.
    num_images: number of images on this device.

  Returns:
    Weights [num_images].
  """
  if recipe.levels_taught is None:
    return jnp.ones(num_images)
  teaches = (recipe.levels_taught >= level).astype(np.float32)
  weights = jnp.asarray(teaches / max(teaches.mean(), 1e-6))
  first = devices.index() * num_images
  return jax.lax.dynamic_slice_in_dim(weights, first, num_images)


def loss_fn(
  model: pic.PIC, recipe: Recipe
) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
  """Builds the loss: mean bits/dim plus the weighted auxiliary loss.

  The auxiliary loss is the bits/dim of the embedding's own mixture. A head
  without a likelihood is trained on its own loss instead.

  Returns:
    A function of (params, rgb [B, H, W, 3] uint8, key) that returns the loss []
    and a dictionary with the loss and its parts [].
  """

  def loss(
    params: parameters.Params, rgb: jax.Array, key: jax.Array
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    params = _stop_frozen(params, recipe.frozen)
    film_key = jax.random.fold_in(key, 2)
    lab = _split_with_film(model, recipe, rgb, key=film_key)
    hint_map = None
    if model.hint_share:
      hint_key = jax.random.fold_in(key, 1)
      hint_map = hints.draw(hint_key, lab.chroma, model.hint_share)
    apply_fn = functools.partial(
      model.apply,
      {'params': params},
      lab.luminance,
      lab.chroma,
      train=True,
      hints=hint_map,
      rngs={'dropout': key},
    )
    head_loss = model.build_head().loss
    if head_loss is not None:
      theta, _ = apply_fn()
      total = head_loss(theta, lab.chroma, recipe.class_weights).mean()
      return total, {'loss': total}
    with winograd.allowed():
      scores = apply_fn(method='score')
    num_unknown = jnp.full(len(rgb), float(np.prod(lab.chroma.shape[1:3])))
    if hint_map is not None:
      num_unknown = (1.0 - hint_map[..., 2]).sum((1, 2))
    parts: dict[str, jax.Array] = {}
    for level, bits in enumerate(_level_bits(scores, num_unknown)):
      # A frozen level is left out, which saves the time to compute it.
      if (f'level_{level}' if level else 'decoder') not in recipe.frozen:
        weights = _image_weights(recipe, level, len(rgb))
        parts[f'level_{level}_bits_per_dim'] = (weights * bits).mean()
    total = functools.reduce(operator.add, parts.values(), jnp.zeros(()))
    parts = {'bits_per_dim': total} | (parts if model.levels else {})
    if model.embedding_loss_weight and 'embedding' not in recipe.frozen:
      parts['embedding_bits_per_dim'] = _embedding_bits(
        model, scores, lab, hint_map=hint_map
      )
      # The division gives bits per value of the finest map, as in `bits`.
      weight = model.embedding_loss_weight / 4**model.levels
      total += weight * parts['embedding_bits_per_dim']
    return total, parts | {'loss': total}

  return loss


def _split_with_film(
  model: pic.PIC, recipe: Recipe, rgb: jax.Array, *, key: jax.Array
) -> pic.LabBatch:
  """Splits images, and re-renders the luminance of some as on old film."""
  lab = model.split_lab(rgb)
  if not recipe.film_share:
    return lab
  clean = color.luminance_from_network(lab.luminance)
  return model.with_luminance(
    lab, film.through_film(key, rgb, clean, share=recipe.film_share)
  )


def _embedding_bits(
  model: pic.PIC,
  scores: pic.Scores,
  lab: pic.LabBatch,
  *,
  hint_map: jax.Array | None,
) -> jax.Array:
  """Computes the mean bits/dim of the embedding's own mixture.

  Returns:
    The mean [] over the batch, on the coarsest grid.
  """
  lab = model.coarsest(lab)
  log_prob = logistic_mixture.log_prob(
    scores.embedding[..., : model.num_outputs], lab.luminance_small, lab.chroma
  )
  hint_map = levels.hint_pyramid(hint_map, model.levels)[0]
  return logistic_mixture.bits_per_dim(log_prob, hint_map).mean()


def train_step_fn(
  model: pic.PIC,
  optimizer: optax.GradientTransformation,
  recipe: Recipe,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """Builds the training step, to be mapped over devices by `devices.pmap`.

  Gradients and metrics are averaged over all devices. Every device draws its
  own dropout, hints and films. If the loss or the gradient is not finite, the
  step changes only the counters of the state.

  Returns:
    A function of (state, rgb [b, H, W, 3] uint8, key) that returns the new
    state and a dictionary of metrics. The key is the same in every step.
  """
  grad_fn = jax.grad(loss_fn(model, recipe), has_aux=True)

  def train_step(
    state: TrainState, rgb: jax.Array, key: jax.Array
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    key = jax.random.fold_in(key, state.step)
    key = jax.random.fold_in(key, devices.index())
    grads, metrics = devices.mean(grad_fn(state.params, rgb, key))
    norms = group_norms(grads)
    metrics['grad_norm'] = jnp.linalg.norm(jnp.stack(list(norms.values())))
    is_finite = jnp.isfinite(metrics['loss']) & jnp.isfinite(
      metrics['grad_norm']
    )

    def update() -> tuple[Any, Any, Any]:
      updates, opt_state = optimizer.update(
        grads, state.opt_state, state.params
      )
      params = optax.apply_updates(state.params, updates)
      decay = ema_decay_at(state.step, recipe.ema_decay)
      return params, average(state.ema_params, params, decay), opt_state

    # With `jnp.where` on each array instead of one `cond`, the update of a wide
    # model takes 1.4 times as long to compile and needs more memory.
    params, ema_params, opt_state = jax.lax.cond(
      is_finite,
      update,
      lambda: (state.params, state.ema_params, state.opt_state),
    )
    skipped_in_row = jnp.where(is_finite, 0, state.skipped_in_row + 1)
    state = TrainState(
      state.step + 1,
      params,
      ema_params,
      opt_state,
      num_skipped=state.num_skipped + ~is_finite,
      skipped_in_row=skipped_in_row,
    )
    return state, metrics | {
      'skipped_in_row': skipped_in_row,
      'num_skipped': state.num_skipped,
      'group_norms': norms,
    }

  return train_step
