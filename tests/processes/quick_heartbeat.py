"""Runs main.py so that processes notice within ten seconds if one has died."""

import runpy

from pic_jax.runtime import distributed

distributed.HEARTBEAT_SECONDS = 10
runpy.run_path('main.py', run_name='__main__')
