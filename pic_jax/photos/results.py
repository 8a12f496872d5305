"""What is known of a photograph that was coloured."""

import collections
import dataclasses
import pathlib
from typing import Any

import numpy as np

from pic_jax.images import color, color_statistics, image_files

REPORT, PAGE = 'report.json', 'contact_sheet.html'
# Colourfulness and saturation are measured on so many pixels, a square, which
# are spread evenly over a picture: one size of arrays for all.
MEASURED_SIDE = 256


@dataclasses.dataclass
class Result:
  """A photograph: its line in the journal, row of the report, part of the page.

  Attributes:
    file: its name, which names its outputs, too.
    status: 'started', 'done', 'skipped' (it is there already) or 'failed'.
    reason: why it failed.
    height, width: pixels.
    notes: what a user should know.
    made_with: all that the outputs depend on.
    samples: of each `file`, `bits_per_dim`, `clipped_share`, measures.
    original: the same of a colour photograph's own colours.
    difference: mean distance of two samples in (a, b), Lab units.
    seconds: that it took.
    pictures: of the page, see `contact_sheet.to_html`.
  """

  file: str
  status: str = 'started'
  reason: str = ''
  height: int = 0
  width: int = 0
  notes: list[str] = dataclasses.field(default_factory=list)
  made_with: dict[str, Any] = dataclasses.field(default_factory=dict)
  samples: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  original: dict[str, Any] | None = None
  difference: float = 0.0
  seconds: float = 0.0
  pictures: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def left_out_text(left_out: list[pathlib.Path]) -> str:
  """'2 .heic (pip install pillow-heif reads them), 1 .txt'."""
  kinds = collections.Counter(path.suffix.lower() for path in left_out)
  return ', '.join(
    f'{count} {kind or "without a suffix"}'
    + (f' ({hint})' if (hint := image_files.REMEDIES.get(kind)) else '')
    for kind, count in sorted(kinds.items())
  )


def write(path: pathlib.Path, text: str) -> None:
  temporary = path.with_name(f'.{path.name}')
  temporary.write_text(text, encoding='utf-8')
  temporary.replace(path)


def measures(rgb: np.ndarray) -> dict[str, float]:
  """Of [H, W, C] uint8, by evenly spread pixels."""
  pixels = rgb.reshape(-1, rgb.shape[-1])
  chosen = np.linspace(0, len(pixels) - 1, MEASURED_SIDE**2).round().astype(int)
  square = np.broadcast_to(pixels[chosen], (MEASURED_SIDE**2, 3))
  square = square.reshape(1, MEASURED_SIDE, MEASURED_SIDE, 3)
  return {
    'colourfulness': float(color_statistics.colourfulness(square)[0]),
    'saturation': float(
      color_statistics.saturation(color.rgb_to_lab(square))[0]
    ),
  }


def finite(bits: float | None) -> float | None:
  """None of a model without a likelihood."""
  return float(bits) if bits is not None and np.isfinite(bits) else None


def bits_text(bits: list[float | None]) -> str:
  """'2.50 bits/dim', '2.50 to 2.75 bits/dim', or nothing."""
  if None in bits:
    return ''
  ends = sorted({f'{min(bits):.2f}', f'{max(bits):.2f}'})
  return f'{" to ".join(ends)} bits/dim'


def summary(report: dict[str, Any]) -> str:
  """One line: how many of each status."""
  counts = collections.Counter(entry['status'] for entry in report['files'])
  texts = {'done': 'coloured', 'skipped': 'left as it is', 'failed': 'failed'}
  return ', '.join(
    f'{counts[status]} {text}'
    for status, text in texts.items()
    if counts[status]
  )
