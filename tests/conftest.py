"""Eight simulated CPU devices, strict shapes, one compilation cache."""

import os
import pathlib
import tempfile

# jax 0.10 deadlocks with simulated devices when its thread pool is small: a
# collective waits for 8 threads. Must stand before the first import of jax.
os.environ['NPROC'] = '32'
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8'
)
os.environ['JAX_PLATFORMS'] = os.environ.get('PIC_JAX_TEST_PLATFORM', 'cpu')
CACHE = pathlib.Path(tempfile.gettempdir()) / f'pic_jax_cache_{os.getuid()}'
os.environ['JAX_COMPILATION_CACHE_DIR'] = str(CACHE)
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.1'

import jax
import pytest

from tests import running

jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_default_matmul_precision', 'highest')


@pytest.fixture(autouse=True, scope='module')
def forget_programs():
  """Frees compiled programs: a worker would keep 11 GB of them in the end."""
  yield
  jax.clear_caches()


@pytest.fixture(autouse=True)
def stop_processes():
  yield
  running.stop_all()
