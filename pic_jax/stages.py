"""Speed and memory of training, evaluation, input and sampling, one by one.

On random images. Each function gives rows with all of `KEYS`; programs are
compiled beforehand and warmed, times are medians over repeats.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.evaluation import likelihood
from pic_jax.model import causal_decoder, pic
from pic_jax.runtime import devices, run_log, timing
from pic_jax.sampling import sample
from pic_jax.saved import run_config
from pic_jax.training import train_step

# Keys of a row: heading, factor and digits in the table. In the report, times
# are seconds for one image or canvas, and what does not apply is null.
KEYS = {
  'stage': ('stage', None, 0),  # train, eval, input or sample
  'method': ('method', None, 0),  # of sampling
  # Images on all local devices; of sampling, canvases on one device.
  'batch': ('batch', 1, 0),
  'core_seconds': ('core ms', 1e3, 3),  # user + system, all threads
  'wall_seconds': ('wall ms', 1e3, 3),
  'images_per_second': ('per s', 1, 2),
  # Of sampling, for each canvas: passes of the decoder over the whole map.
  'decoder_passes': ('passes', 1, 2),
  'peak_bytes': ('peak MiB', 2.0**-20, 0),  # of the program, on one device
  'compile_seconds': ('compile s', 1, 1),  # tracing included
  'peak_share': ('% of peak', 100, 1),  # of training, by `timing.cost`
  'extrapolated': ('from pixels', 1, 0),  # null: measured whole
}
# Pixels from which the naive method is extrapolated.
NUM_POSITIONS = 4


def _row(stage: str, batch: int, times: np.ndarray, **more: Any) -> dict:
  """A row with all `KEYS`, from times [2] of one batch."""
  wall, core = (float(t) / batch for t in times)
  row = dict.fromkeys(KEYS) | {'stage': stage, 'batch': batch} | more
  row |= {'wall_seconds': wall, 'core_seconds': core}
  row['images_per_second'] = 1.0 / wall
  run_log.say(f'{stage} {row["method"] or ""} batch {batch}: {wall:.3g} s each')
  return row


def random_images(count: int, size: int) -> np.ndarray:
  """[count, size, size, 3] uint8."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (count, size, size, 3), np.uint8)


def train_row(
  config: ml_collections.ConfigDict,
  params: Any,
  batch: int,
  peak: float,
  repeats: int,
) -> dict[str, Any]:
  """Steps of training; `peak` is what `timing.matrix_flops` gave."""
  model = run_config.build_model(config)
  size = config.data.image_size
  optimizer = train_step.make_optimizer(config)
  train_step_fn = train_step.train_step_fn(
    model,
    optimizer,
    config.optimizer.ema_decay,
    config.data.chroma_filter,
    config.training.accumulation_steps,
  )
  rgb = devices.shard(random_images(batch, size))
  keys = devices.replicate(jax.random.key(0))
  state = devices.replicate(train_step.create(params, optimizer))
  step, costs = timing.compile_ahead(
    devices.pmap(train_step_fn, donate_argnums=(0,)), state, rgb, keys
  )

  def call() -> Any:
    nonlocal state
    state, parts = step(state, rgb, keys)
    return parts

  times = np.median(timing.measure([call], repeats), 0)[0]
  lab = jax.eval_shape(
    lambda: pic.split_lab(
      jnp.zeros((batch, size, size, 3), jnp.uint8),
      model.chroma_factor,
      config.data.chroma_filter,
    )
  )
  # The backward pass takes each product of the forward pass twice. What
  # `remat` computes again is no use to the user and is not counted.
  flops = 3.0 * timing.conv_flops(
    model.clone(remat=False).apply,
    {'params': params},
    lab.luminance,
    lab.chroma,
  )
  share = flops / (peak * timing.cost(times))
  if jax.default_backend() != 'cpu':  # core seconds have all devices in them
    share /= jax.local_device_count()
  return _row('train', batch, times, peak_share=float(share), **costs)


def eval_row(
  config: ml_collections.ConfigDict, params: Any, batch: int, repeats: int
) -> dict[str, Any]:
  """Scores by both rules."""
  params = devices.replicate(params)
  rgb = devices.shard(random_images(batch, config.data.image_size))
  score, costs = timing.compile_ahead(
    likelihood.Evaluator(config).score, params, rgb
  )
  times = timing.measure([lambda: score(params, rgb)], repeats)
  return _row('eval', batch, np.median(times, 0)[0], **costs)


def input_row(
  config: ml_collections.ConfigDict,
  batch: int,
  num_images: int,
  num_batches: int,
  repeats: int,
) -> dict[str, Any]:
  """Order, flips and batches of images in memory, on the host alone."""
  source = random_images(num_images, config.data.image_size)
  dataset = input_pipeline.train_dataset(source, batch, seed=0)
  batches = input_pipeline.train_batches(dataset, 0)

  def call() -> None:
    for _ in range(num_batches):
      next(batches)

  times = np.median(timing.measure([call], repeats), 0)[0]
  return _row('input', batch, times / num_batches)


def sample_rows(
  config: ml_collections.ConfigDict,
  params: Any,
  batch: int,
  methods: tuple[str, ...],
  repeats: int,
) -> Iterator[dict[str, Any]]:
  """Each method on one device; seconds include the embedding's pass.

  No rows without a decoder.
  """
  model = run_config.build_model(config).clone(remat=False)
  if not model.has_decoder:
    return
  chroma_filter = config.data.chroma_filter
  net = model.build_decoder()

  def prepare_fn(params: Any, luminance: jax.Array, keys: jax.Array) -> tuple:
    return sample.prepare(model, params, luminance, keys, 1, chroma_filter)

  def pass_fn(
    params: Any, embedding: jax.Array, canvas: jax.Array
  ) -> jax.Array:
    return net.apply({'params': params}, canvas, embedding)

  lab = pic.split_lab(
    random_images(batch, config.data.image_size),
    model.chroma_factor,
    chroma_filter,
  )
  args = params, lab.luminance, jax.random.split(jax.random.key(0), batch)
  prepare, costs = timing.compile_ahead(jax.jit(prepare_fn), *args)
  prepare = functools.partial(prepare, *args)
  conditions = prepare()
  args = params['decoder'], conditions[0], lab.chroma
  one_pass, _ = timing.compile_ahead(jax.jit(pass_fn), *args)
  one_pass = functools.partial(one_pass, *args)
  args = params['decoder'], *conditions, jnp.ones(())
  for method in methods:
    yield _sample_row(method, net, args, [prepare, one_pass], costs, repeats)


def _sample_row(
  method: str,
  net: causal_decoder.CausalDecoder,
  args: tuple,
  others: list[Callable[[], Any]],
  costs: dict[str, float],
  repeats: int,
) -> dict[str, Any]:
  """Times one method in turns with other calls.

  Args:
    method: of sampling.
    net: unbound decoder.
    args: what the method gets after the decoder.
    others: calls that prepare `args`, and that pass over whole maps once.
    costs: of compiling the former.
    repeats: of the measurement.
  """
  batch, height, width, _ = args[1].shape
  num_pixels = height * width
  naive = functools.partial(
    sample.naive, num_positions=min(NUM_POSITIONS, num_pixels)
  )
  fill = {'cached': sample.cached, 'parallel': sample.parallel, 'naive': naive}
  fill = jax.jit(functools.partial(fill[method], net))
  fill, more = timing.compile_ahead(fill, *args)
  result = None

  def call() -> Any:
    nonlocal result
    result = fill(*args)
    return result

  rounds = timing.measure([call, *others], repeats)
  filling, preparing, _ = np.median(rounds, 0)
  row = {'method': method}
  if method == 'cached':
    seconds = timing.cost(rounds)
    row['decoder_passes'] = float(np.median(seconds[:, 0] / seconds[:, 2]))
  else:
    row['decoder_passes'] = passes = int(result[1])
  if method == 'naive' and passes < num_pixels:
    filling = filling * (num_pixels / passes)
    row |= {'decoder_passes': num_pixels, 'extrapolated': passes}
  row['peak_bytes'] = max(more['peak_bytes'], costs['peak_bytes'])
  row['compile_seconds'] = more['compile_seconds'] + costs['compile_seconds']
  return _row('sample', batch, filling + preparing, **row)
