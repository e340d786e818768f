"""Reading a configuration: one message a mistake, naming file, key, value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ntkscope.config.experiments import expand
from ntkscope.config.sections import Config
from ntkscope.errors import ConfigError

Key = tuple[str | int, ...]


def load_files(*files: str | Path) -> Config:
    """The configuration of YAML files, later ones over earlier ones (as Snakemake merges them)."""
    merged: dict[str, Any] = {}
    for file in files:
        _merge(merged, read_yaml(file))
    return load_config(merged, files)


def load_config(values: Mapping[str, Any], files: Sequence[str | Path] = ()) -> Config:
    """Validate a configuration and every run it asks for.

    Args:
        values: the merged configuration.
        files: the files it was merged from, in order: only to say where a mistake is.

    Raises:
        ConfigError: all mistakes of single values in one message, or the first impossible run.
    """
    try:
        config = Config.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error, values, files) from None
    for name in config.experiments:
        try:
            expand(config, name)
        except ConfigError as error:
            key = tuple(str(error_where(error)).split(" ")[0].split("."))
            origin = _origin(key, values, files)
            where = f"{error_where(error)} in {origin}"
            raise ConfigError(error.what, where=where, remedy=error.remedy) from None
    return config


def error_where(error: ConfigError) -> str:
    """The key an error names, from its message."""
    return str(error).split("where: ", 1)[1].split("\n", 1)[0]


def read_yaml(file: str | Path) -> dict[str, Any]:
    """A YAML file as a dict.

    Raises:
        ConfigError: no such file, or not YAML, or not a mapping.
    """
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"the configuration cannot be read: {error.strerror}",
            where=file,
            remedy="name a file that exists, e.g. config/config.yaml",
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"this is not YAML: {' '.join(str(error).split())}",
            where=file,
            remedy="mend the line named above",
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"a configuration is a mapping of keys to values, not a {type(values).__name__}",
            where=file,
            remedy="see config/README.md",
        )
    return values


def _merge(base: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _explain(
    error: ValidationError, values: Mapping[str, Any], files: Sequence[str | Path]
) -> ConfigError:
    """One line a mistake; a mistake reported for several members of a union appears once."""
    seen: dict[Key, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        seen.setdefault(_key(detail, values), []).append(detail)
    lines = []
    for key, details in seen.items():
        path = _dotted(key)
        lines.append(f"{path}: {_say(details, key, values)}\n  where: {_origin(key, values, files)}")
    count = len(lines)
    head = "the configuration has a mistake" if count == 1 else f"the configuration has {count} mistakes"
    return ConfigError("\n".join([head, *lines]), remedy="config/README.md explains every key")


def _key(detail: ErrorDetails, values: Mapping[str, Any]) -> Key:
    """The path of a mistake in the user's own nesting: pydantic's less its union tags."""
    node: Any = values
    key: list[str | int] = []
    loc = detail["loc"]
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(node, Mapping) and (part in node or (last and detail["type"] == "missing")):
            key.append(part)
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            key.append(part)
            node = node[part]
    return tuple(key)


def _say(details: list[ErrorDetails], key: Key, values: Mapping[str, Any]) -> str:
    detail = details[0]
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_did_you_mean(str(key[-1]), _siblings(detail['loc']))}"
    if kind == "missing":
        return "this key is required"
    if kind == "union_tag_not_found":
        return f"the section needs a `kind`, one of {context.get('expected_tags', '').replace(chr(39), '')}"
    value = _value(key, values)
    if kind == "union_tag_invalid":
        key_value = context.get("tag", value)
        expected = context.get("expected_tags", "").replace("'", "")
        close = _did_you_mean(str(key_value), [t.strip() for t in expected.split(",")])
        return f"kind = {key_value!r} is not known{close}; allowed: {expected}"
    if kind == "literal_error":
        expected = str(context.get("expected", ""))
        close = _did_you_mean(str(value), [t.strip(" '") for t in expected.replace(" or ", ",").split(",")])
        return f"{value!r} is not allowed{close}; allowed: {expected}"
    message = detail["msg"].removeprefix("Input should be ").removeprefix("Value should ")
    return f"{value!r} is not allowed; it must be {message.removeprefix('have ').removeprefix('a valid ')}"


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known keys: {', '.join(known)}" if known and len(known) <= 16 else ""


def _siblings(loc: tuple[str | int, ...]) -> list[str]:
    """The keys allowed beside the unknown one at `loc`: the models are walked as the path says."""
    kinds: list[Any] = [Config]
    for part in loc[:-1]:
        step: list[Any] = []
        for kind in _models(kinds):
            if part in kind.model_fields:
                step.append(kind.model_fields[str(part)].annotation)
            elif _tag(kind) and part in _tag(kind):
                step.append(kind)
        kinds = step or kinds
    return [name for kind in _models(kinds) for name in kind.model_fields]


def _models(annotations: Iterable[Any]) -> list[type[BaseModel]]:
    """All models inside annotations: unions, dict values, optionals."""
    found: list[type[BaseModel]] = []
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        else:
            found.extend(_models(get_args(annotation)))
    return found


def _tag(kind: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(kind.model_fields["kind"].annotation) if "kind" in kind.model_fields else ()


def _value(key: Key, values: Mapping[str, Any]) -> Any:
    node: Any = values
    for part in key:
        node = node[part] if not isinstance(node, Mapping) else node.get(part)
    return node


def _dotted(key: Key) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(top level)"


def _origin(key: Sequence[str | int], values: Mapping[str, Any], files: Sequence[str | Path]) -> str:
    """The last file that holds as much of the key as any file does."""
    best, depth = "the command line (--config)" if files else "the values given", 0
    for file in files:
        node: Any = read_yaml(file)
        held = 0
        for part in key:
            inside = isinstance(node, Mapping) and part in node
            if not inside and not (isinstance(node, list) and isinstance(part, int) and part < len(node)):
                break
            node, held = node[part], held + 1
        if held and held >= depth:
            best, depth = str(file), held
    if files and depth == 0:
        return str(files[-1]) if key and key[0] not in values else best
    return best
