"""An extension module: it has no types of its own."""

from typing import Any

stream: Any
