"""Sets up JAX: simulated CPU devices, strict ranks, a compilation cache."""

import os
import pathlib
import tempfile

# These variables must be set before jax is first imported. NPROC enlarges the
# thread pool. With a small pool, jax 0.10 deadlocks on simulated devices,
# because a collective operation waits for 8 threads.
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
def free_programs():
  """Frees compiled programs after each module.

  Otherwise each worker would hold 11 GB of them at the end.
  """
  yield
  jax.clear_caches()


@pytest.fixture(autouse=True)
def stop_processes():
  """Kills the processes that a test has left running."""
  yield
  running.stop_all()
