"""The digest that kernels are cached by covers everything that is compiled into them."""

import ast
from pathlib import Path

import features
from features.kernel import COMPILED

HERE = Path(features.__file__).parent
# Types only: nothing of it is compiled. User-defined steps are compiled apart, by their source.
NOT_COMPILED = {"spec"}
APART = {"user"}


def imported(name: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((HERE / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "features":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("features."):
            found.add(node.module.split(".")[1])
    return found


def test_whatever_compiled_modules_import_is_in_the_digest() -> None:
    reached = set().union(*(imported(name) for name in COMPILED))
    assert reached - NOT_COMPILED <= set(COMPILED)


def test_every_module_with_kernels_is_in_the_digest() -> None:
    with_kernels = {
        path.stem
        for path in HERE.glob("*.py")
        if any(mark in path.read_text() for mark in ("@njit", "@intrinsic"))
    }
    assert with_kernels - APART <= set(COMPILED)
