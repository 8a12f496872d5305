"""The part of flax.linen that is used here.

Its own types say that modules cannot be hashed and that `apply` and `init`
return unions.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, Self, TypeVar, dataclass_transform

import jax
from jax.nn import elu as elu
from jax.nn import initializers as initializers
from jax.nn import relu6 as relu6
from jax.nn import sigmoid as sigmoid

_Call = TypeVar('_Call', bound=Callable[..., Any])
_Module = TypeVar('_Module', bound=Module)
_Parameters = ParamSpec('_Parameters')

# With `eq_default`, type checkers would take away `__hash__`.
@dataclass_transform(eq_default=False, field_specifiers=(dataclasses.field,))
class _ModuleBase:
  __dataclass_fields__: dict[str, dataclasses.Field[Any]]

class Module(_ModuleBase):
  name: str | None = dataclasses.field(default=None, kw_only=True)
  parent: Module | None = dataclasses.field(default=None, kw_only=True)
  @property
  def path(self) -> tuple[str, ...]: ...
  def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
  def __getattr__(self, name: str) -> Any: ...
  def setup(self) -> None: ...
  def init(
    self, rngs: jax.Array, *args: Any, **kwargs: Any
  ) -> dict[str, Any]: ...
  def apply(
    self,
    variables: Mapping[str, Any],
    *args: Any,
    rngs: Mapping[str, jax.Array] | None = None,
    method: Callable[..., Any] | str | None = None,
    mutable: bool | Sequence[str] = False,
    **kwargs: Any,
  ) -> Any: ...
  def clone(self, **updates: Any) -> Self: ...
  def param(
    self, name: str, init_fn: Callable[..., jax.Array], *args: Any
  ) -> jax.Array: ...
  def has_variable(self, col: str, name: str) -> bool: ...
  def get_variable(self, col: str, name: str) -> Any: ...
  def put_variable(self, col: str, name: str, value: Any) -> None: ...
  def is_mutable_collection(self, col: str) -> bool: ...

class Dropout(Module):
  rate: float
  def __call__(self, inputs: jax.Array, deterministic: bool) -> jax.Array: ...

def compact(fun: _Call) -> _Call: ...
def nowrap(fun: _Call) -> _Call: ...
def remat(
  target: Callable[_Parameters, _Module], *, static_argnums: Iterable[int] = ()
) -> Callable[_Parameters, _Module]: ...
def intercept_methods(
  interceptor: Callable[..., Any],
) -> AbstractContextManager[None]: ...
