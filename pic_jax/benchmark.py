"""Speed of training, evaluation and sampling with a config on this machine.

Images are random, and times are medians over several rounds, without
compilation. The weights matter only for the parallel method of sampling, whose
number of passes depends on them.
"""

import functools
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from pic_jax.evaluation import likelihood
from pic_jax.model import parameters, pic
from pic_jax.runtime import devices, terminal
from pic_jax.sampling import conditions, refinement, sample
from pic_jax.saved import checkpoints, run_config
from pic_jax.training import optimizers, train_step

# Every call is timed in this number of rounds.
NUM_ROUNDS = 5
# In a round, a call is repeated for about this many seconds, at most 50 times.
MIN_SECONDS = 0.2
# Keys of a row of the report, with their heading and format in the table. A
# value that does not apply to a row is None.
KEYS = {
  # 'train', 'eval', or the name of a sampling method.
  'stage': ('stage', ''),
  # Number of images on all local devices; for sampling, number of canvases (one
  # sample of one image each) on one device.
  'batch': ('batch', ''),
  # Seconds per image or canvas. Core seconds are the CPU time of all threads.
  'core_seconds': ('core s', '.5f'),
  'wall_seconds': ('wall s', '.5f'),
  # For the cached method, the time in which the decoder samples divided by the
  # time of one pass of the decoder over the whole map. For the parallel method,
  # the number of passes.
  'decoder_passes': ('passes', '.2f'),
  # Floating-point operations for one image, in 10^9.
  'gflop': ('GFLOP', '.3f'),
  # Memory of the compiled program on one device.
  'peak_mib': ('peak MiB', '.0f'),
  # Seconds of tracing and compiling.
  'compile_seconds': ('compile s', '.1f'),
}


def run(
  config: ml_collections.ConfigDict,
  params: parameters.Params | None = None,
  step: int | None = None,
  *,
  batches: Sequence[int] = (),
  canvases: Sequence[int] = (),
) -> dict[str, Any]:
  """Measures all stages, which takes minutes on two CPU cores.

  Args:
    config: config that `config_check.check` accepted.
    params: parameters of the model; None for the initial parameters.
    step: step of `params`, for the report.
    batches: batch sizes for training and evaluation. They are rounded up to a
      multiple of the number of devices. If empty, defaults for the device.
    canvases: batch sizes for sampling. If empty, defaults for the device.

  Returns:
    A report: `rows`, each with all `KEYS`, and versions, device, config and
    other entries that hold for all rows.
  """
  on_cpu = jax.default_backend() == 'cpu'
  batches = batches or ([8] if on_cpu else [config.training.batch_size, 256])
  canvases = canvases or ([1, 16] if on_cpu else [1, 16, 64, 1024])
  model = run_config.build_model(config)
  if params is None:
    lab = _random_images(config, 8)[1]
    params = parameters.initial(model, lab, config.training.seed)
  device_params = jax.device_put(params)
  rows = [
    row for size in batches for row in _batch_rows(config, device_params, size)
  ]
  for size in canvases if model.has_decoder else ():
    rows += _sample_rows(config, device_params, size)
  return checkpoints.provenance() | {
    'system': platform.platform(),
    'device': jax.local_devices()[0].device_kind,
    'num_devices': jax.local_device_count(),
    'dtype': model.compute_dtype.name,
    'num_parameters': sum(x.size for x in jax.tree.leaves(device_params)),
    'step': step,
    'config': config.to_dict(),
    'rows': rows,
  }


def _random_images(
  config: ml_collections.ConfigDict, count: int
) -> tuple[np.ndarray, pic.LabBatch]:
  """Generates random images [count, H, W, 3] uint8, also as a `LabBatch`."""
  size = config.data.image_size
  rng = np.random.default_rng(0)
  rgb = rng.integers(0, 256, (count, size, size, 3), np.uint8)
  return rgb, run_config.build_model(config).split_lab(rgb)


def _batch_rows(
  config: ml_collections.ConfigDict, params: parameters.Params, batch: int
) -> Iterator[dict[str, Any]]:
  """Measures training and evaluation on all local devices.

  Yields:
    First the row of a training step, then the row of `likelihood.score_fn`.
  """
  optimizer = optimizers.make_optimizer(config)
  step = train_step.train_step_fn(
    run_config.build_model(config),
    optimizer,
    train_step.Recipe(config.optimizer.ema_decay),
  )
  num_devices = jax.local_device_count()
  batch = -(-batch // num_devices) * num_devices
  rgb = devices.shard(_random_images(config, batch)[0])
  train_args = rgb, devices.replicate(jax.random.key(0))
  state = devices.replicate(train_step.create(params, optimizer))
  step = devices.pmap(step, donate_argnums=(0,))
  step, costs = _compile(step, state, *train_args)

  def call() -> Any:
    nonlocal state
    state, metrics = step(state, *train_args)
    return metrics

  # XLA counts the operations on one device.
  costs['gflop'] *= num_devices / batch
  yield _row('train', batch, np.median(measure([call]), 0)[0], costs=costs)
  score_args = devices.replicate(params), rgb
  score = likelihood.score_fn(run_config.build_model(config))
  score, costs = _compile(score, *score_args)
  costs['gflop'] *= num_devices / batch
  times = measure([lambda: score(*score_args)])
  yield _row('eval', batch, np.median(times, 0)[0], costs=costs)


def _sample_rows(
  config: ml_collections.ConfigDict, params: parameters.Params, batch: int
) -> Iterator[dict[str, Any]]:
  """Measures the cached and the parallel method of sampling on one device.

  The times include the embedding and the finer levels. The naive method is not
  measured, because it takes one whole pass of the decoder for each pixel.

  Yields:
    The row of each method.
  """
  model = run_config.build_model(config).clone(remat=False)
  net = model.build_decoder()
  lab = _random_images(config, batch)[1]

  @jax.jit
  def one_pass(
    params: parameters.Params, embedding: jax.Array, chroma: jax.Array
  ) -> Any:
    return net.apply({'params': params}, chroma, embedding)

  keys = jax.random.split(jax.random.key(0), batch)
  prepare, prepare_costs = _compile_call(
    jax.jit(functools.partial(_prepare, model)),
    params,
    lab.luminance,
    keys=keys,
  )
  inputs = prepare()
  chroma = model.coarsest(lab).chroma
  whole_pass, _ = _compile_call(
    one_pass, params['decoder'], inputs.embedding, chroma
  )
  rest, rest_costs = [prepare], [prepare_costs]
  if model.levels:
    refine = functools.partial(_refine, model, luminance=lab.luminance)
    refine, refine_costs = _compile_call(
      jax.jit(refine), params, chroma, inputs=inputs, keys=keys
    )
    rest, rest_costs = [prepare, refine], [prepare_costs, refine_costs]
  for method in ('cached', 'parallel'):
    fill = functools.partial(sample.METHODS[method], model)
    fill, costs = _compile_call(jax.jit(fill), params, inputs)
    rounds = measure([fill, *rest, whole_pass])
    if method == 'cached':
      # Wall seconds (index 0) on an accelerator, because core seconds (index 1)
      # do not include its work.
      seconds = rounds[..., 1 if jax.default_backend() == 'cpu' else 0]
      passes = np.median(seconds[:, 0] / seconds[:, -1])
    else:
      passes = fill()[2]
    costs['decoder_passes'] = float(passes)
    # XLA counts the body of a loop only once, so its count would be wrong here.
    costs['gflop'] = None
    for other in rest_costs:
      costs['peak_mib'] = max(costs['peak_mib'], other['peak_mib'])
      costs['compile_seconds'] += other['compile_seconds']
    yield _row(method, batch, np.median(rounds, 0)[:-1].sum(0), costs=costs)


def _compile_call(
  fn: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[Callable[[], Any], dict[str, Any]]:
  """Compiles a function and binds its arguments; see `_compile`."""
  fn, costs = _compile(fn, *args, **kwargs)
  return functools.partial(fn, *args, **kwargs), costs


def _prepare(
  model: pic.PIC,
  params: parameters.Params,
  luminance: jax.Array,
  *,
  keys: jax.Array,
) -> conditions.SamplerInputs:
  """Runs the embedding and draws the noise of one sample of each image."""
  spec = conditions.SamplingSpec()
  return conditions.prepare(model, params, luminance, keys=keys, spec=spec)


def _refine(
  model: pic.PIC,
  params: parameters.Params,
  canvas: jax.Array,
  *,
  luminance: jax.Array,
  inputs: conditions.SamplerInputs,
  keys: jax.Array,
) -> jax.Array:
  """Samples the finer levels of coarsest maps [B, h_0, w_0, 2]."""
  _, height, width, _ = canvas.shape
  grid = height, width
  noise = refinement.draw_noise(model, keys, 1, grid=grid, temperature=1.0)
  return refinement.refine(
    model,
    params,
    canvas,
    inputs=refinement.Inputs(
      luminance, inputs.embedding, inputs.features, noise
    ),
    hints=[None] * model.levels,
  )[0]


def _row(
  stage: str, batch: int, times: np.ndarray, *, costs: dict[str, Any]
) -> dict[str, Any]:
  """Builds a row with all `KEYS`, and prints a line of progress.

  Args:
    stage: name of the stage.
    batch: number of images or canvases in the batch.
    times: [2] wall and core seconds of the batch.
    costs: other entries of the row, see `KEYS`.
  """
  wall, core = (float(t) / batch for t in times)
  terminal.say(f'{stage}, batch {batch}: {wall:.3g} s each')
  row = dict.fromkeys(KEYS) | {'stage': stage, 'batch': batch} | costs
  return row | {'wall_seconds': wall, 'core_seconds': core}


def _compile(
  fn: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[Callable[..., Any], dict[str, Any]]:
  """Compiles a function that was made by jit or pmap.

  Returns:
    The compiled function, and the entries of a row that describe it.
  """
  start = time.perf_counter()
  compiled = fn.lower(*args, **kwargs).compile()
  seconds = time.perf_counter() - start
  # The device's memory statistics would give the peak of the whole process.
  memory = compiled.memory_analysis()
  peak = memory.argument_size_in_bytes + memory.output_size_in_bytes
  peak += memory.temp_size_in_bytes - memory.alias_size_in_bytes
  return compiled, {
    'compile_seconds': seconds,
    'gflop': 1e-9 * compiled.cost_analysis()['flops'],
    'peak_mib': 2.0**-20 * peak,
  }


def measure(calls: Sequence[Callable[[], Any]]) -> np.ndarray:
  """Times calls in turns, so load from other programs affects all alike.

  An additional first round warms up. Its times determine how often each call is
  repeated in a round.

  Returns:
    [`NUM_ROUNDS`, calls, 2], wall and core seconds of one execution of a call.
  """

  def clock(call: Callable[[], Any], num_calls: int) -> np.ndarray:
    start = np.array([time.perf_counter(), time.process_time()])
    for _ in range(num_calls):
      result = call()
    jax.block_until_ready(result)
    end = np.array([time.perf_counter(), time.process_time()])
    return (end - start) / num_calls

  counts = [int(np.clip(MIN_SECONDS / clock(x, 1)[0], 1, 50)) for x in calls]
  turns = list(zip(calls, counts, strict=True))
  return np.array([[clock(*x) for x in turns] for _ in range(NUM_ROUNDS)])


def to_text(report: dict[str, Any]) -> str:
  """Formats the report as a table."""
  rows = [[heading for heading, _ in KEYS.values()]]
  for row in report['rows']:
    cells = zip(row.values(), KEYS.values(), strict=True)
    rows.append(
      ['' if x is None else format(x, spec) for x, (_, spec) in cells]
    )
  weights = 'initial' if report['step'] is None else f'of step {report["step"]}'
  return (
    f'{report["num_devices"]} x {report["device"]}, {report["dtype"]}, '
    f'{report["num_parameters"]} parameters, weights {weights}\n'
    f'{terminal.table(rows)}'
  )
