"""What this machine does with a config: all stages, as a table and as JSON.

Weights do not matter for it, except for the passes of the parallel method.
"""

import os
import platform
from typing import Any, NamedTuple

import jax
import ml_collections

from pic_jax import stages
from pic_jax.model import pic
from pic_jax.runtime import timing
from pic_jax.sampling import sample
from pic_jax.saved import checkpoints, run_config


class Sizes(NamedTuple):
  """What is measured.

  Attributes:
    train: batch sizes, each divisible by the devices.
    evaluation: batch size, divisible by the devices.
    sample: methods for each number of canvases.
    matrix: side of the square matrices of the peak.
    input_images, input_batches: images in memory; batches of a repeat.
    repeats: of every measurement, fewer if it is slow.
  """

  train: tuple[int, ...]
  evaluation: int
  sample: dict[int, tuple[str, ...]]
  matrix: int
  input_images: int = 10_000
  input_batches: int = 100
  repeats: int = 5


def default_sizes(config: ml_collections.ConfigDict) -> Sizes:
  """Minutes on two CPU cores; larger batches on an accelerator."""
  count = jax.local_device_count()
  parts = count * config.training.accumulation_steps

  def divisible(batch: int, by: int) -> int:
    return -(-batch // by) * by

  samples = {1: sample.METHODS, 16: sample.METHODS}
  if jax.default_backend() == 'cpu':
    return Sizes(
      (divisible(8, parts),), divisible(8, count), samples, matrix=1024
    )
  train = {divisible(x, parts) for x in (config.training.batch_size, 256)}
  return Sizes(
    tuple(sorted(train)),
    divisible(config.evaluation.batch_size, count),
    samples | {64: ('cached',), 1024: ('cached',)},
    matrix=8192,
  )


def run(
  config: ml_collections.ConfigDict,
  params: Any = None,
  step: int | None = None,
  sizes: Sizes | None = None,
) -> dict[str, Any]:
  """Measures all stages.

  Args:
    config: checked.
    params: of the model; None for those with which training starts.
    step: of `params`.
    sizes: what to measure; None for `default_sizes`.

  Returns:
    `rows`, each with all of `stages.KEYS`, and what holds for all of them.
  """
  sizes = sizes or default_sizes(config)
  model = run_config.build_model(config)
  if params is None:
    lab = pic.split_lab(
      stages.random_images(8, config.data.image_size),
      model.chroma_factor,
      config.data.chroma_filter,
    )
    params = pic.initial_params(model, lab, config.training.seed)
  params = jax.device_put(params)  # a checkpoint's are on the host
  repeats = sizes.repeats
  peak = timing.matrix_flops(sizes.matrix, model.compute_dtype, repeats)
  rows = [
    stages.train_row(config, params, batch, peak, repeats)
    for batch in sizes.train
  ]
  rows.append(stages.eval_row(config, params, sizes.evaluation, repeats))
  rows += [
    stages.input_row(
      config, batch, sizes.input_images, sizes.input_batches, repeats
    )
    for batch in sorted({*sizes.train, config.training.batch_size})
  ]
  for batch, methods in sizes.sample.items():
    rows += stages.sample_rows(config, params, batch, methods, repeats)
  return {
    **checkpoints.provenance(),
    'machine': machine() | {'matrix_flops_per_second': peak},
    'dtype': model.compute_dtype.name,
    'num_parameters': sum(x.size for x in jax.tree.leaves(params)),
    'step': step,
    'config': config.to_dict(),
    'rows': rows,
  }


def machine() -> dict[str, Any]:
  """What the numbers were measured on."""
  device = jax.local_devices()[0]
  memory = device.memory_stats() or {}
  return {
    'system': platform.platform(),
    'num_cores': len(os.sched_getaffinity(0)),
    'platform': device.platform,
    'device': device.device_kind,
    'num_devices': jax.local_device_count(),
    # High-water mark of this process, where the device counts.
    'peak_bytes_in_use': memory.get('peak_bytes_in_use'),
  }


def to_text(report: dict[str, Any]) -> str:
  """The report as a table for a reader; times are per image or canvas."""
  machine = report['machine']
  lines = [[heading for heading, _, _ in stages.KEYS.values()]]
  for row in report['rows']:
    lines.append(
      [
        ''
        if row[key] is None
        else row[key]
        if factor is None
        else f'{row[key] * factor:.{digits}f}'
        for key, (_, factor, digits) in stages.KEYS.items()
      ]
    )
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  weights = 'initial' if report['step'] is None else f'of step {report["step"]}'
  unit = 'core' if machine['platform'] == 'cpu' else 'device'
  return '\n'.join(
    [
      f'{machine["num_devices"]} x {machine["device"]}, '
      f'{machine["num_cores"]} cores, {report["dtype"]}, matrix peak '
      f'{machine["matrix_flops_per_second"] / 1e12:.3g} TFLOP/s a {unit}',
      f'{report["num_parameters"]} parameters, weights {weights}',
      *('  '.join(map(str.rjust, cells, widths)).rstrip() for cells in lines),
    ]
  )
