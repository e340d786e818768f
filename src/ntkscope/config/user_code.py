"""A user's own function, `package.module:function`, found and digested without running it.

Modules are looked for in the working folder, then as Python does. Nothing is imported.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from ntkscope.errors import ConfigError
from ntkscope.runtime.nearest import did_you_mean

_STANDARD = f"python{sys.version_info.major}.{sys.version_info.minor}"  # folder of its library


def function_digest(function: str, where: str) -> str:
    """SHA-256 of the sources behind a function: its module and all that this imports beside it.

    Modules of the same package count, and those of the same folder; installed libraries do not.

    Args:
        function: `package.module:function`.
        where: key of the configuration, for the error.

    Raises:
        ConfigError: no such module, no such function in it, or a module that is no Python.
    """
    module, _, name = function.partition(":")
    root = _root(module)
    file = root and _file(root, module)
    if root is None or file is None:
        place = f"put {module.replace('.', '/')}.py into the working folder, or install it"
        raise ConfigError(
            f"there is no module {module!r} (searched: {Path.cwd()}, then Python's own path)",
            where=where,
            remedy=f"leave .py out: {module[:-3]}:{name}" if module.endswith(".py") else place,
        )
    tree = _parse(file, where)
    known = list(_functions(tree))
    if name not in known:
        raise ConfigError(
            f"{file} has no function {name!r}{did_you_mean(name, known)}",
            where=where,
            remedy=f"define it at the top of the module{_of(known)}",
        )
    checksum = hashlib.sha256()
    for each, source in sorted(_sources(root, module, where).items()):
        checksum.update(f"{each} {len(source)}\n".encode() + source)
    return checksum.hexdigest()


def _of(known: list[str]) -> str:
    return f", or name one of: {', '.join(known)}" if known else ""


def _root(module: str) -> Path | None:
    """The folder that holds a module's top package (or itself); None where there is none."""
    top = module.partition(".")[0]
    spec = PathFinder.find_spec(top, [str(Path.cwd()), *sys.path])
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return Path(next(iter(spec.submodule_search_locations))).parent
    return Path(spec.origin).parent if spec.origin else None


def _file(root: Path, module: str) -> Path | None:
    """The source of a module below a root, or None."""
    place = root.joinpath(*module.split("."))
    candidates = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in candidates if file.is_file()), None)


def _parse(file: Path, where: str) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise ConfigError(
            f"{file} is not Python: {error}", where=where, remedy="mend the module"
        ) from None


def _functions(tree: ast.Module) -> Iterator[str]:
    """Names that a module defines or imports at its top and that can be called."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _sources(root: Path, module: str, where: str) -> dict[str, bytes]:
    """Module → source, of a module and of all that it imports of the same package or folder."""
    top = module.partition(".")[0]
    installed = root.name in ("site-packages", "dist-packages", _STANDARD)
    waiting, found = [module], dict[str, bytes]()
    while waiting:
        name = waiting.pop()
        file = _file(root, name)
        if name not in found and file is not None:
            found[name] = file.read_bytes()
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            waiting += [
                other
                for other in _imports(_parse(file, where), package)
                if not installed or other.partition(".")[0] == top
            ]
    return found


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Dotted names of all that a module of a package imports, and of the packages around them."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join(
                [*(above if node.level else []), *([node.module] if node.module else [])]
            )
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in filter(None, names):
            parts = name.split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
