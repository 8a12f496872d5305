"""What a colourisation depends on, and which samples of it are kept."""

import dataclasses

import numpy as np

from pic_jax.photos import guided_upsampling

RANKS = ('none', 'probable', 'different')


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a colourisation depends on, besides photograph and weights.

  Attributes:
    num_samples: colourisations that are wanted.
    seed: together with the grey levels and the number of a sample it
      determines the sample.
    temperature: 1 samples from the model, 0 takes each pixel's mode.
    saturation: factor of the sampled chroma.
    rank: of all candidates keeps the most 'probable' or the most 'different';
      'none' keeps the first.
    num_candidates: samples to choose from.
    upsampling: 'guided' by the luminance, or 'bilinear'.
  """

  num_samples: int = 4
  seed: int = 0
  temperature: float = 1.0
  saturation: float = 1.0
  rank: str = 'none'
  num_candidates: int = 0
  upsampling: str = 'guided'

  def __post_init__(self) -> None:
    for name, at_least in (
      ('num_samples', 1),
      ('seed', 0),
      ('temperature', 0),
      ('saturation', 0),
    ):
      value = getattr(self, name)
      if not at_least <= value < 2**31:
        raise ValueError(
          f'`{name}` must be from {at_least} to 2**31 - 1, got {value}.'
        )
    for name, choices in (
      ('rank', RANKS),
      ('upsampling', guided_upsampling.METHODS),
    ):
      value = getattr(self, name)
      if value not in choices:
        raise ValueError(
          f'`{name}` must be one of {", ".join(choices)}, got {value!r}.'
        )
    if self.num_candidates and self.num_candidates < self.num_samples:
      raise ValueError(
        f'`num_candidates` must be at least `num_samples`, got '
        f'{self.num_candidates} and {self.num_samples}.'
      )

  @property
  def num_drawn(self) -> int:
    """Samples drawn: all candidates, if there is something to choose."""
    if self.rank == 'none':
      return self.num_samples
    return self.num_candidates or 4 * self.num_samples


def choose(
  settings: Settings, bits_per_dim: np.ndarray, differences: np.ndarray
) -> list[int]:
  """Numbers of the samples that are kept, of all that were drawn.

  Args:
    settings: `rank` and `num_samples`.
    bits_per_dim: [S] of all samples.
    differences: [S, S] mean distances in (a, b).
  """
  order = np.argsort(bits_per_dim, kind='stable').tolist()
  if settings.rank == 'none':
    return list(range(settings.num_samples))
  if settings.rank == 'probable':
    return order[: settings.num_samples]
  kept = order[:1]  # greedy: next the one that is farthest from all kept ones
  while len(kept) < settings.num_samples:
    nearest = differences[:, kept].min(1)
    nearest[kept] = -1.0
    kept.append(int(nearest.argmax()))
  return kept
