"""Execute the shape hints of tsfm: in the tests, jaxtyping checks them at every call.

tsfm imports jaxtyping, Tensor and the like for type checkers only (`if TYPE_CHECKING`), so jaxtyping's own import hook
would find no names. This one decorates every function, dataclass and named tuple with a shape hint, and looks the names
up at the first call, when all modules are imported.
"""

from __future__ import annotations

import ast
import functools
import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ForwardRef

import jaxtyping
import torch
from beartype import BeartypeConf, beartype

SHAPED = ("jaxtyped_function", "jaxtyped_class")  # the names under which a module finds the two decorators
checker = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as type checkers have it


@functools.cache
def names_for_type_checkers(module: str) -> dict[str, Any]:
    """The module's names, and those that it imports for type checkers."""
    names = dict(vars(sys.modules[module]))
    for node in ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module, "exec"), names)
    return names


def shape_hint(hint: Any, module: str) -> Any:
    """The hint where it has a shape, else Any: other types are the type checker's business."""
    text = hint.__forward_arg__ if isinstance(hint, ForwardRef) else hint
    names = names_for_type_checkers(module)
    identifiers = re.findall(r"\w+", text) if isinstance(text, str) else []
    shaped = any(
        identifier in names and names[identifier] is getattr(jaxtyping, identifier, None) for identifier in identifiers
    )
    return eval(text, names) if shaped else Any


def with_shape_hints(function: FunctionType, module: str) -> FunctionType:
    """A copy of the function whose hints are objects and no more strings."""
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__module__, copy.__qualname__ = function.__kwdefaults__, module, function.__qualname__
    copy.__annotations__ = {name: shape_hint(hint, module) for name, hint in function.__annotations__.items()}
    return copy


def jaxtyped_function(function: FunctionType, module: str | None = None) -> Callable[..., Any]:
    """The function with its hints checked at every call; as it is where torch compiles or exports it."""
    checked: list[Callable[..., Any]] = []

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        if not checked:
            typed = with_shape_hints(function, module or function.__module__)
            checked.append(jaxtyping.jaxtyped(typed, typechecker=checker))
        return checked[0](*args, **kwargs)

    return call


def jaxtyped_class(cls: type) -> type:
    """The dataclass or named tuple with the hints of its fields checked when it is made."""
    made_by = "__new__" if issubclass(cls, tuple) else "__init__"
    if made_by in vars(cls):
        setattr(cls, made_by, jaxtyped_function(getattr(cls, made_by), cls.__module__))
    return cls


class Decorate(ast.NodeTransformer):
    """Add the decorators where a hint uses a name that the module imports from jaxtyping."""

    def __init__(self, tree: ast.Module):
        imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping")
        self.names = {alias.name for node in imports for alias in node.names}

    def shaped(self, *hints: ast.expr | None) -> bool:
        return any(
            isinstance(node, ast.Name) and node.id in self.names for hint in hints if hint for node in ast.walk(hint)
        )

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        if self.shaped(node.returns, *(arg.annotation for arg in every if arg)):
            node.decorator_list.append(
                ast.Name(SHAPED[0], ast.Load())
            )  # next to the function: the others see it checked
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        if self.shaped(*(item.annotation for item in node.body if isinstance(item, ast.AnnAssign))):
            node.decorator_list.insert(0, ast.Name(SHAPED[1], ast.Load()))  # after @dataclass
        return node


class Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        return compile(ast.fix_missing_locations(Decorate(tree).visit(tree)), path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(zip(SHAPED, (jaxtyped_function, jaxtyped_class), strict=True))
        super().exec_module(module)


class Finder(importlib.abc.MetaPathFinder):
    def __init__(self, packages: Sequence[str]):
        self.packages = packages

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        if not any(f"{name}.".startswith(f"{package}.") for package in self.packages):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


def install(*packages: str) -> None:
    """Check the shape hints of the modules of these packages from now on."""
    loaded = [name for name in sys.modules if any(f"{name}.".startswith(f"{package}.") for package in packages)]
    assert not loaded, f"imported before the hook was installed: {loaded}"
    jaxtyping.config.update("jaxtyping_remove_typechecker_stack", True)
    sys.meta_path.insert(0, Finder(packages))
