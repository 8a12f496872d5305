"""Function-preserving growth of a trained model (Chen et al. 2016).

At first, the larger model computes the same outputs as the trained model. A new
block is a copy of the last block, but with a gain of 0 on the output of its
residual branch, so it is the identity. A new channel has random weights, but
all old channels that read it do so with weight 0. After one training step, all
new parameters have gradients.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pic_jax.model import causal_attention, layers, parameters, pic
from pic_jax.runtime import errors

# Numbers of channels, before and after the growth, of the groups of channels
# that are concatenated along one axis of a kernel.
Groups = Sequence[tuple[int, int]]


def _kept_channels(groups: Groups) -> np.ndarray:
  """Computes the indices that the old channels have after the growth."""
  sizes = [after for _, after in groups]
  starts = np.cumsum(sizes) - sizes
  return np.concatenate(
    [
      start + np.arange(before)
      for start, (before, _) in zip(starts, groups, strict=True)
    ]
  )


def _num_channels(groups: Groups) -> int:
  """Counts the channels of all groups after the growth."""
  return sum(after for _, after in groups)


def _unchanged_inputs(conv: dict) -> Groups:
  """Returns the groups of a convolution whose inputs do not grow.

  Args:
    conv: parameters V, g and b of the convolution.
  """
  num_inputs = conv['V'].shape[2]
  return ((num_inputs, num_inputs),)


class _Growth:
  """Grows the networks of one model.

  Attributes:
    before, after: the trained model and the larger model.
    rng: random generator for the directions of new channels.
  """

  def __init__(self, before: pic.PIC, after: pic.PIC, seed: int) -> None:
    self.before = before
    self.after = after
    self.rng = np.random.default_rng(seed)

  def pair(self, name: str) -> tuple[int, int]:
    """Checks that a field does not decrease, and returns both its values."""
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
    shape = (*old['V'].shape[:2], _num_channels(inputs), _num_channels(outputs))
    V = self.rng.standard_normal(shape, np.float32) * layers.DIRECTION_STDDEV
    V[..., kept_outputs] = 0.0  # old outputs do not read new inputs
    V[:, :, kept_inputs[:, None], kept_outputs] = old['V']
    g = np.full(shape[-1:], np.abs(old['g']).mean(), np.float32)
    b = np.zeros_like(g)
    g[kept_outputs], b[kept_outputs] = old['g'], old['b']
    return {'V': V, 'g': g, 'b': b}

  def new_conv(self, num_inputs: int, num_outputs: int, gain: float) -> dict:
    """Initialises a 1x1 convolution with random directions and equal gains."""
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
      conditioning: groups of the channels on which the blocks are conditioned;
        empty if the blocks have no conditioning.
      is_read: whether an old layer reads the output of the new blocks. If so,
        the new blocks must start as the identity.
    """
    before, after = names
    if len(after) > len(before) and not before:
      raise errors.RunError(
        f'{after[0]} cannot be added, because the model to start from has no '
        'block there to copy.'
      )
    result = {}
    # concat-ELU doubles the inputs. A gated block doubles the outputs, because
    # it has a gate for each value.
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
        # Only the values are set to 0, not the gates, so the gates have a
        # gradient as soon as the gain of the values is no longer 0.
        second['g'][: width[1]] = second['b'][: width[1]] = 0.0
      result[name] = block | {'second': second}
    return result

  def embedding(self, old: dict) -> dict:
    """Grows the stages and the output of the embedding network."""
    result = {}
    inputs = ((2, 2),)  # luminance and ones
    stages = zip(
      self.before.embedding_stages, self.after.embedding_stages, strict=True
    )
    # `before` and `after` are (width, stride, number of blocks, dilation).
    for stage, (before, after) in enumerate(stages):
      prefix = f'stage_{stage}'
      field = f'`model.embedding_stages[{stage}]`'
      _check_equal(
        f'The stride and dilation of {field}', before[1::2], after[1::2]
      )
      width, depth = (before[0], after[0]), (before[2], after[2])
      _check_not_less(f'The width of {field}', *width)
      _check_not_less(f'The number of blocks of {field}', *depth)
      names = _block_names(f'{prefix}_block', depth)
      result[prefix] = self.conv(old[prefix], inputs, (width,))
      result |= self.blocks(old, names, width, conditioning=())
      inputs = (width,)
    if 'backbone' in old:
      result['backbone'] = {
        name: self.conv(part, _unchanged_inputs(part), (width,))
        if name.startswith('project_')
        else part
        for name, part in old['backbone'].items()
      }
    # If the trained model reads no hints, `parameters.with_hint_kernel` has
    # already added a hint kernel of the new width.
    if 'hints' in old:
      missing = width[1] - old['hints'].shape[-1]
      padding = [(0, 0), (0, 0), (0, 0), (0, missing)]
      result['hints'] = np.pad(old['hints'], padding)
    features = self.pair('embedding_features')
    result['head'] = self.conv(old['head'], inputs, (features,))
    return result

  def decoder(self, old: dict) -> dict:
    """Grows the blocks, the width and the attention of the decoder."""
    width, depth = self.pair('decoder_features'), self.pair('decoder_blocks')
    embedding = self.pair('embedding_features')
    result = {
      name: self.conv(old[name], _unchanged_inputs(old[name]), (width,))
      for name in ('above_input', 'row_input', 'pixel_input')
    }
    for stream, conditioning, is_read in (
      # Only the new down-right blocks read the new down blocks. concat-ELU
      # doubles each input of the conditioning.
      ('down', (embedding, embedding), False),
      ('down_right', (width, width, embedding, embedding), True),
    ):
      names = _block_names(f'{stream}_blocks', depth)
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
    """Adds attention heads, whose output is multiplied by 0 at first.

    Args:
      old: parameters of the attention; None if the trained model has none.
      width: width of the decoder before the growth, and after it.
    """
    before, after = self.pair('attention_heads')
    embedding = self.pair('embedding_features')
    key_channels = (
      before * causal_attention.KEY_FEATURES,
      after * causal_attention.KEY_FEATURES,
    )
    num_values = causal_attention.NUM_VALUES
    if old is None:
      zeros = np.zeros(after, np.float32)
      return {
        'queries_and_keys': self.new_conv(
          2 * embedding[1], 2 * key_channels[1], 1.0
        ),
        'project': self.new_conv(num_values * after, width[1], 0.0),
        'log_sharpness': zeros,
        'log_slope': zeros,
        'nothing': zeros,
      }
    result: dict[str, Any] = {
      'queries_and_keys': self.conv(
        old['queries_and_keys'],
        (embedding, embedding),
        (key_channels, key_channels),
      ),
      'project': self.conv(
        old['project'], [(num_values * before, num_values * after)], (width,)
      ),
    }
    padding = (0, after - before)
    for name in ('log_sharpness', 'log_slope', 'nothing'):
      result[name] = np.pad(old[name], padding)
    # The initial slope of a head depends on the number of heads. `log_slope` is
    # relative to this initial slope, so it is changed to keep the slope itself.
    slopes_before = causal_attention.initial_slopes(before)
    slopes_after = causal_attention.initial_slopes(after)[:before]
    result['log_slope'][:before] += np.log(slopes_before / slopes_after)
    return result


def _block_names(
  prefix: str, depth: tuple[int, int]
) -> tuple[list[str], list[str]]:
  """Returns the names of the blocks before and after the growth."""
  before, after = ([f'{prefix}_{i}' for i in range(n)] for n in depth)
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
    params: parameters of `before`, numpy arrays. A network that is missing here
      is also missing in the result.
    before: the trained model.
    after: the larger model. All its networks must be at least as wide and deep,
      and its stages must have the same strides and dilations.
    seed: seed of the random directions of new channels.

  Raises:
    RunError: if `after` is smaller somewhere or has another structure, or if
      `before` has finer levels.
  """
  if before.levels:
    raise errors.RunError(
      'A model with finer levels (`model.levels`) cannot grow, because its '
      'levels read features of a fixed width.'
    )
  growth = _Growth(before, after, seed)
  num_stages = len(before.embedding_stages), len(after.embedding_stages)
  _check_equal('The number of `model.embedding_stages`', *num_stages)
  for name in ('gated', 'backbone'):
    values = getattr(before, name), getattr(after, name)
    _check_equal(f'`model.{name}`', *values)
  # `_Growth` has a method with the name of each network.
  return {name: getattr(growth, name)(part) for name, part in params.items()}
