"""What a step frees stays with the process, for the next step."""

import ctypes
import sys

# mallopt(3) of glibc.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8


def keep() -> bool:
  """Tells glibc to give no memory back; to be called before it is used.

  XLA's buffers on CPUs are allocated anew in every step, above glibc's limit
  as a mapping of their own, whose pages the kernel zeroes at first touch: 6 %
  of the time of training a small network.

  Returns:
    Whether there is a glibc that could be told.
  """
  if not sys.platform.startswith('linux'):
    return False
  try:
    mallopt = ctypes.CDLL('libc.so.6').mallopt
  except (OSError, AttributeError):
    return False
  return all(
    mallopt(option, value)
    for option, value in (
      (M_ARENA_MAX, 1),
      (M_MMAP_MAX, 0),
      (M_TRIM_THRESHOLD, -1),
      (M_TOP_PAD, 1 << 26),
    )
  )
