"""Reading a configuration: every mistake in one message that names file, key and value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ntkscope.config.cross_checks import mistakes_across
from ntkscope.config.curves import expand_curves
from ntkscope.config.datasets import own_and_absent
from ntkscope.config.diagnostics.documents import Key, misread, read_document
from ntkscope.config.diagnostics.mistakes import Mistake, mistakes_of
from ntkscope.config.diagnostics.origins import COMMAND_LINE, Origins
from ntkscope.config.expand import expand
from ntkscope.config.idle_keys import idle_keys
from ntkscope.config.sections import Config
from ntkscope.config.variants import without_absent
from ntkscope.errors import ConfigError

_DEFAULT_FILE, _DEFAULT_PRESET = ("config", "config.yaml"), Config.model_fields["preset"].default
_LEAVE_OUT = (
    "as above; or leave config/config.yaml and its experiments out: add --replace-workflow-config, "
    "and regimes and experiments of your own to your file"
)
_OVERWRITES_NOTHING = {"preset", "resources", "dataset.root", "dataset.download"}


def load_files(*files: str | Path) -> Config:
    """The configuration of YAML files, later ones over earlier ones (as Snakemake merges them).

    Raises:
        ConfigError: as `load_config`; or a file that cannot be read.
    """
    merged: dict[str, Any] = {}
    for file in files:
        _merge(merged, read_document(file).values)
    return load_config(merged, files)


def load_config(values: Mapping[str, Any], files: Sequence[str | Path] = ()) -> Config:
    """Validate a configuration and every run it asks for.

    Args:
        values: the merged configuration.
        files: the files it was merged from, in any order: they tell where a mistake is, and what
            was given on the command line.

    Raises:
        ConfigError: all mistakes of single values, or else all mistakes across sections, or else
            the first impossible run of each experiment, or else keys without effect; in one
            message.
    """
    origins = Origins(tuple(read_document(file) for file in files))
    values = _as_yaml(dict(values), origins)
    if mistakes := list(_not_text(values)):
        raise _together(mistakes, values, origins)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise _together(mistakes_of(error, values, origins), values, origins) from None
    mistakes = mistakes_across(config) or list(_impossible(config))
    mistakes = mistakes or _not_inherited(idle_keys(config), values, origins)
    if mistakes := mistakes or _default_overwritten(config, origins):
        raise _together(mistakes, values, origins)
    return config


def _merge(base: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _as_yaml(values: dict[str, Any], origins: Origins) -> dict[str, Any]:
    """The values with those of the command line read as YAML.

    Snakemake hands over `--config seeds='[0, 1]'` as a list of texts.
    """

    def read(value: Any, key: Key) -> Any:
        if isinstance(value, Mapping):
            return {part: read(inside, (*key, part)) for part, inside in value.items()}
        given = origins.documents and origins.files(key, values) == [COMMAND_LINE]
        return _typed(value) if given else value

    return {part: read(inside, (part,)) for part, inside in values.items()}


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if not isinstance(value, str) or misread(value):
        return value
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return read if isinstance(read, bool | int | float | None) else value


def _not_text(value: Any, key: Key = ()) -> Iterator[Mistake]:
    """Texts that cannot be written, of which a terminal and every store would make an error."""
    if isinstance(value, Mapping):
        for part, inside in value.items():
            yield from _not_text(str(part), (*key, part))
            yield from _not_text(inside, (*key, part))
    elif isinstance(value, list):
        for number, inside in enumerate(value):
            yield from _not_text(inside, (*key, number))
    elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        yield Mistake(key, "half of a surrogate pair is no text", remedy="write the character")


def _impossible(config: Config) -> Iterator[Mistake]:
    """The first run of each experiment that cannot be trained."""
    config, _ = without_absent(config, lambda dataset: not own_and_absent(dataset))
    expansions: list[Callable[[], object]] = [
        *(partial(expand, config, name) for name in config.experiments),
        *(partial(expand_curves, config, name) for name in config.learning_curves),
    ]
    for expansion in expansions:
        try:
            expansion()
        except ConfigError as error:
            path, _, point = str(error.where).partition(" ")
            yield Mistake(
                tuple(path.split(".")), f"{error.what} {point}".strip(), remedy=error.remedy
            )


def _not_inherited(
    mistakes: list[Mistake], values: Mapping[str, Any], origins: Origins
) -> list[Mistake]:
    """Those that are of the one file of the user's own, or of the command line.

    No file can remove a key: what is idle for what another file says of its experiment is no
    mistake.
    """

    def is_own(key: Key) -> bool:
        places = [each for each in origins.files(key[:2], values) if not _is_default(each)]
        (here,) = origins.files(key, values)
        return here == COMMAND_LINE or places == ([] if _is_default(here) else [here])

    return [mistake for mistake in mistakes if is_own(mistake.key)]


def _default_overwritten(config: Config, origins: Origins) -> list[Mistake]:
    """A file of the user's own that would draw its figures over those of the default."""
    own = [
        document.name
        for document in origins.documents
        if not _is_default(document.name)
        and not set(_leaves(document.values)) <= _OVERWRITES_NOTHING
    ]
    if config.preset != _DEFAULT_PRESET or not own:
        return []
    text = (
        f"{_DEFAULT_PRESET} is the preset of config/config.yaml, and {own[0]} would overwrite its "
        "tables and figures"
    )
    return [Mistake(("preset",), text, remedy=f"write a preset of its own into {own[0]}")]


def _is_default(file: str) -> bool:
    return Path(file).absolute().parts[-2:] == _DEFAULT_FILE


def _leaves(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted keys of all values that are no mappings; of `resources` the section alone."""
    for key, value in values.items():
        inner = isinstance(value, Mapping) and key != "resources"
        yield from _leaves(value, (*above, str(key))) if inner else [".".join((*above, str(key)))]


def _are_of_default(mistakes: list[Mistake], values: Mapping[str, Any], origins: Origins) -> bool:
    """Whether an experiment of the default cannot be run with what files of the user's say."""
    places = {file for mistake in mistakes for file in origins.files(mistake.key, values)}
    own = any(not _is_default(document.name) for document in origins.documents)
    return own and any(map(_is_default, places))


def _together(mistakes: list[Mistake], values: Mapping[str, Any], origins: Origins) -> ConfigError:
    """All mistakes as one error."""
    count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    texts = (mistake.say(values, origins) for mistake in mistakes)
    open_ones = any(mistake.remedy is None for mistake in mistakes)
    remedy = "correct it; config/README.md explains every key" if open_ones else None
    if not open_ones and _are_of_default(mistakes, values, origins):
        remedy = _LEAVE_OUT
    text = "\n".join([f"the configuration has {count}", *texts])
    return ConfigError(text.encode(errors="backslashreplace").decode(), remedy=remedy)
