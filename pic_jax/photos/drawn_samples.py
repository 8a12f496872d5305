"""Samples of a photograph's chroma and the choice among them."""

import dataclasses

import numpy as np

from pic_jax.photos import network_size, options


@dataclasses.dataclass(frozen=True)
class SampleSet:
  """Samples of one photograph, not yet at its size.

  Attributes:
    network_input: of the photograph.
    chroma: [S, h, w, 2] Lab units, without padding.
    bits_per_dim: [S] of the samples; NaN of a model without a likelihood.
    difference: mean distance in (a, b) over all pairs of samples, Lab units.
  """

  network_input: network_size.NetworkInput
  chroma: np.ndarray
  bits_per_dim: np.ndarray
  difference: float


def make(
  network_input: network_size.NetworkInput,
  chroma: np.ndarray,
  log_prob: np.ndarray,
  *,
  settings: options.Settings,
) -> SampleSet:
  """Removes the padding and keeps the samples chosen by `rank`."""
  height, width = network_input.map_shape
  chroma = chroma[:, :height, :width]
  bits = bits_per_dim(network_input, log_prob)
  apart = differences(chroma)
  kept = choose(settings, bits, apart)
  pairs = len(kept) * (len(kept) - 1)
  return SampleSet(
    network_input=network_input,
    chroma=chroma[kept],
    bits_per_dim=bits[kept],
    difference=float(apart[np.ix_(kept, kept)].sum() / max(1, pairs)),
  )


def choose(
  settings: options.Settings, bits_per_dim: np.ndarray, differences: np.ndarray
) -> list[int]:
  """Chooses the samples to keep.

  Args:
    settings: `rank` and `num_samples`.
    bits_per_dim: [S] of all samples.
    differences: [S, S] mean distances in (a, b).
  """
  order = np.argsort(bits_per_dim, kind='stable').tolist()
  if settings.rank == 'none':
    return list(range(settings.num_drawn))
  if settings.rank == 'probable':
    return order[: settings.num_samples]
  kept = order[:1]  # greedy: next the one that is farthest from all kept ones
  while len(kept) < settings.num_samples:
    nearest = differences[:, kept].min(1)
    nearest[kept] = -1.0
    kept.append(int(nearest.argmax()))
  return kept


def differences(chroma: np.ndarray) -> np.ndarray:
  """Mean distances [S, S] of samples [S, h, w, 2] in (a, b)."""
  return np.stack(
    [np.linalg.norm(x - chroma, axis=-1).mean((1, 2)) for x in chroma]
  )


def bits_per_dim(
  network_input: network_size.NetworkInput, log_prob: np.ndarray
) -> np.ndarray:
  """Bits per chroma value [B] of log-probabilities [B, h, w], padded as levels.

  Padding and cells given by hints are left out. In numpy: photographs have too
  many shapes to compile for.
  """
  height, width = network_input.map_shape
  log_prob = log_prob[:, :height, :width]
  others = np.ones((height, width))
  if network_input.hints is not None:
    others -= network_input.hints[..., 2]
  bits = -(others * log_prob).sum((1, 2)) / (2 * np.log(2.0))
  return bits / max(1.0, others.sum())


def finite(bits: float | None) -> float | None:
  """Bits as a float; None for a model without a likelihood."""
  return float(bits) if bits is not None and np.isfinite(bits) else None


def bits_text(bits: list[float | None]) -> str:
  """'2.50 bits/dim', '2.50 to 2.75 bits/dim', or nothing."""
  if None in bits:
    return ''
  ends = sorted({f'{min(bits):.2f}', f'{max(bits):.2f}'})
  return f'{" to ".join(ends)} bits/dim'
