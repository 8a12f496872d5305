"""Function-preserving growth of a trained model (Chen et al. 2016).

A larger model starts with the function of the smaller model. A new block is a
copy of the last block, but its output is multiplied by a gain of 0, so it is
the identity. A new channel has random weights, but every kernel that
reads this channel has zeros for it. After one training step, all new parameters
have gradients.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from pic_jax.model import causal_attention, layers, parameters, pic
from pic_jax.runtime import errors

# Sizes (before, after) of the groups of channels that are concatenated along
# one axis of a kernel.
Groups = Sequence[tuple[int, int]]


def _kept_channels(groups: Groups) -> np.ndarray:
  """Computes the indices of the old channels among all channels."""
  ends = itertools.accumulate(after for _, after in groups)
  return np.concatenate(
    [
      end - after + np.arange(before)
      for end, (before, after) in zip(ends, groups, strict=True)
    ]
  )


def _size(groups: Groups) -> int:
  """Counts the channels of all groups after the growth."""
  return sum(after for _, after in groups)


class _Growth:
  """Grows the networks of one model.

  Attributes:
    before, after: the trained model, and the larger one.
    rng: random generator for the directions of new channels.
  """

  def __init__(self, before: pic.PIC, after: pic.PIC, seed: int) -> None:
    self.before = before
    self.after = after
    self.rng = np.random.default_rng(seed)

  def pair(self, name: str) -> tuple[int, int]:
    """Returns a field of both models, and checks that it does not shrink."""
    before, after = getattr(self.before, name), getattr(self.after, name)
    _check_not_less(f'`model.{name}`', before, after)
    return before, after

  def conv(self, old: dict, inputs: Groups, outputs: Groups) -> dict:
    """Widens a weight-normalised convolution.

    Args:
      old: parameters V, g and b of the convolution.
      inputs: groups of the input channels.
      outputs: groups of the output channels.
    """
    kept_inputs, kept_outputs = _kept_channels(inputs), _kept_channels(outputs)
    shape = (*old['V'].shape[:2], _size(inputs), _size(outputs))
    V = self.rng.standard_normal(shape, np.float32) * layers.DIRECTION_STDDEV
    V[..., kept_outputs] = 0.0  # old outputs do not read new inputs
    V[:, :, kept_inputs[:, None], kept_outputs] = old['V']
    g = np.full(shape[-1:], np.abs(old['g']).mean(), np.float32)
    b = np.zeros_like(g)
    g[kept_outputs], b[kept_outputs] = old['g'], old['b']
    return {'V': V, 'g': g, 'b': b}

  def new_conv(self, num_inputs: int, num_outputs: int, gain: float) -> dict:
    """Initialises a new 1x1 convolution with random directions."""
    shape = (1, 1, num_inputs, num_outputs)
    V = self.rng.standard_normal(shape, np.float32)
    g = np.full(num_outputs, gain, np.float32)
    return {'V': V * layers.DIRECTION_STDDEV, 'g': g, 'b': np.zeros_like(g)}

  def blocks(
    self,
    old: dict,
    names: tuple[Sequence[str], Sequence[str]],
    width: tuple[int, int],
    *,
    conditioning: Groups,
    is_read: bool = True,
  ) -> dict:
    """Widens the blocks of a network, and appends new ones.

    Args:
      old: parameters of the network that has the blocks.
      names: names of the blocks before the growth, and after it.
      width: width of the blocks before the growth, and after it.
      conditioning: groups of the channels on which the blocks are conditioned.
      is_read: whether an existing layer will read the output of the new blocks.
        If so, they have to start as the identity.
    """
    before, after = names
    if len(after) > len(before) and not before:
      raise errors.RunError(
        f'{after[0]} cannot be added, because the model to start from has no '
        'block there to copy.'
      )
    result = {}
    # concat-ELU doubles the inputs; a gated block has a gate for each value.
    twice = (width, width)
    outputs = twice if self.after.gated else (width,)
    for name in before:
      block = old[name]
      result[name] = {
        'first': self.conv(block['first'], twice, (width,)),
        'second': self.conv(block['second'], twice, outputs),
      }
      if conditioning:
        result[name]['conditioning'] = self.conv(
          block['conditioning'], conditioning, (width,)
        )
    for name in after[len(before) :]:
      block = result[before[-1]]
      second = {key: x.copy() for key, x in block['second'].items()}
      if is_read:
        # Only the values become 0, not the gates. So the gates have a gradient
        # as soon as the gain of the values is no longer 0.
        second['g'][: width[1]] = second['b'][: width[1]] = 0.0
      result[name] = block | {'second': second}
    return result

  def embedding(self, old: dict) -> dict:
    """Grows the stages of the embedding network, and its width."""
    result = {}
    inputs = ((2, 2),)  # luminance and ones
    stages = zip(
      self.before.embedding_stages, self.after.embedding_stages, strict=True
    )
    for stage, (before, after) in enumerate(stages):
      prefix = f'stage_{stage}'
      field = f'`model.embedding_stages[{stage}]`'
      _check_equal(
        f'The strides and dilations of {field}', before[1::2], after[1::2]
      )
      width, depth = (before[0], after[0]), (before[2], after[2])
      _check_not_less(f'The width of {field}', *width)
      _check_not_less(f'The number of blocks of {field}', *depth)
      names = _numbered(f'{prefix}_block', depth)
      result[prefix] = self.conv(old[prefix], inputs, (width,))
      result |= self.blocks(old, names, width, conditioning=())
      inputs = (width,)
    if 'backbone' in old:
      result['backbone'] = {
        name: self.conv(part, [(part['V'].shape[2],) * 2], inputs)
        if name.startswith('project_')
        else part
        for name, part in old['backbone'].items()
      }
    # If the trained model reads no hints, `parameters.with_hint_kernel` has
    # already added a hint kernel of the new width.
    if 'hints' in old:
      missing = width[1] - old['hints'].shape[-1]
      result['hints'] = np.pad(old['hints'], (*((0, 0),) * 3, (0, missing)))
    features = self.pair('embedding_features')
    result['head'] = self.conv(old['head'], inputs, (features,))
    return result

  def decoder(self, old: dict) -> dict:
    """Grows the streams of the decoder, its width and its attention."""
    width, depth = self.pair('decoder_features'), self.pair('decoder_blocks')
    embedding = (self.pair('embedding_features'),) * 2
    result = {
      name: self.conv(old[name], [(old[name]['V'].shape[2],) * 2], (width,))
      for name in ('above_input', 'row_input', 'pixel_input')
    }
    for stream, conditioning, is_read in (
      # Only the new down-right blocks read the new down blocks.
      ('down', embedding, False),
      ('down_right', (width, width, *embedding), True),
    ):
      names = _numbered(f'{stream}_blocks', depth)
      result |= self.blocks(
        old, names, width, conditioning=conditioning, is_read=is_read
      )
    outputs = (old['head']['g'].size, self.after.num_outputs)
    _check_equal('The number of outputs of the decoder', *outputs)
    result['head'] = self.conv(old['head'], (width,), (outputs,))
    if self.after.attention_heads:
      result['attention'] = self.attention(old.get('attention'), width)
    return result

  def attention(self, old: dict | None, width: tuple[int, int]) -> dict:
    """Adds heads of attention, whose output is multiplied by 0 at first."""
    before, after = self.pair('attention_heads')
    embedding = self.pair('embedding_features')
    keys = (
      before * causal_attention.KEY_FEATURES,
      after * causal_attention.KEY_FEATURES,
    )
    values = causal_attention.NUM_VALUES
    if old is None:
      zeros = np.zeros(after, np.float32)
      return {
        'queries_and_keys': self.new_conv(2 * embedding[1], 2 * keys[1], 1.0),
        'project': self.new_conv(values * after, width[1], 0.0),
        'log_sharpness': zeros,
        'log_slope': zeros,
        'nothing': zeros,
      }
    result: dict[str, Any] = {
      'queries_and_keys': self.conv(
        old['queries_and_keys'], (embedding, embedding), (keys, keys)
      ),
      'project': self.conv(
        old['project'], [(values * before, values * after)], (width,)
      ),
    }
    padding = (0, after - before)
    for name in ('log_sharpness', 'log_slope', 'nothing'):
      result[name] = np.pad(old[name], padding)
    # The initial slope of a head depends on the number of heads. `log_slope` is
    # relative to this initial slope, so it is changed to keep the slope itself.
    slopes = (
      causal_attention.initial_slopes(before),
      causal_attention.initial_slopes(after),
    )
    result['log_slope'][:before] += np.log(slopes[0] / slopes[1][:before])
    return result


def _numbered(name: str, depth: tuple[int, int]) -> tuple[list[str], list[str]]:
  """Returns the names of the blocks before and after the growth."""
  before, after = ([f'{name}_{i}' for i in range(n)] for n in depth)
  return before, after


def _check_not_less(what: str, before: int, after: int) -> None:
  if after < before:
    raise errors.RunError(
      f'{what} must be at least {before}, as in the model to start from, got '
      f'{after}.'
    )


def _check_equal(what: str, before: Any, after: Any) -> None:
  if before != after:
    raise errors.RunError(
      f'{what} must be {before}, as in the model to start from, got {after}.'
    )


def grow(
  params: parameters.Params, before: pic.PIC, after: pic.PIC, *, seed: int = 0
) -> dict:
  """Computes parameters with which `after` has the same outputs as `before`.

  Args:
    params: parameters of `before`, numpy arrays. If a network is missing, it is
      also missing in the result.
    before: the trained model.
    after: the larger model. It must be at least as wide and deep everywhere,
      and have the same stages.
    seed: seed of the random directions of new channels.

  Raises:
    RunError: if `after` is smaller somewhere, or has another structure.
  """
  if before.levels:
    raise errors.RunError(
      'A model with finer levels (`model.levels`) cannot grow, because its '
      'levels read features of a fixed width.'
    )
  if after.decoder_order != 'raster':
    raise errors.RunError(
      'A model can grow only with `model.decoder_order=raster`, got '
      f'{after.decoder_order!r}.'
    )
  growth = _Growth(before, after, seed)
  num_stages = len(before.embedding_stages), len(after.embedding_stages)
  _check_equal('The number of `model.embedding_stages`', *num_stages)
  for name in ('gated', 'backbone'):
    values = getattr(before, name), getattr(after, name)
    _check_equal(f'`model.{name}`', *values)
  # `_Growth` has a method with the name of each network.
  return {name: getattr(growth, name)(part) for name, part in params.items()}
