"""Errors of Hydra and OmegaConf as one sentence: the full key, what was found, the likely name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tsfm.config.folder import conf_dir, options
from tsfm.messages import did_you_mean


class ConfigError(ValueError):
    """A configuration that cannot be composed; the message is for the person who wrote it."""


def explain(error: BaseException, *, groups: Sequence[str] = ()) -> str:
    """Return the messages of Hydra and OmegaConf, which are chained and have several lines, as one sentence.

    Parameters
    ----------
    error
        As caught; its causes are read, too.
    groups
        Config groups, which are known names at the top level in addition to the settings.
    """
    chain = list(_chain(error))
    text = "\n".join(str(cause) for cause in chain)
    option = re.search(r"Could not (?:find|load) '([^'/]+)/([^']*)'", text)
    if option and (conf_dir() / option[1]).is_dir():
        listed = re.search(rf"Available options in '{option[1]}':((?:\n\t\S+)*)", text)  # also of a user's folder
        known = {*options(option[1]), *(name for name in (listed[1] if listed else "").split() if name[0] != "_")}
        return f"unknown {option[1]} {option[2]!r}; {did_you_mean(option[2], sorted(known))}"
    if group := re.search(r"Could not override '([\w/]+)'\.\s+No match in the defaults list", text):
        return f"{group[1]} is not chosen here; {did_you_mean(group[1], list(groups))}" + _file(text)
    if override := re.match(r"Error parsing override '(.*)'\s+([^\n]*)", text):
        return f"{override[1]!r} cannot be read ({override[2]}); write settings as key=value, for instance seed=1"
    full = re.search(r"full_key: (\S+)", text)
    if not full:
        return one_line(error)
    key, override = full[1], re.search(r"(?:merging override |not override ')([\w.]+)", text)
    if override and not key.startswith(override[1]) and not override[1].startswith(key):
        key = f"{override[1]}.{key}"  # OmegaConf counts from the item of a list
    return f"{key} {_fault(chain, full[1], groups)}{_file(text)}"


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line."""
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _file(text: str) -> str:
    """Return the file that a message names, where it is not the main config."""
    file = re.search(r"In '(.+/.+)': ", text)
    return f" (in {file[1]}.yaml)" if file else ""


def _fault(chain: list[BaseException], key: str, groups: Sequence[str]) -> str:
    """Say what is wrong with a key, as the end of a sentence that begins with it."""
    text = "\n".join(str(error) for error in chain)
    if re.search(r"Key '.+' (?:not in|is not in struct)", text):
        if re.search(rf"In '{key}/.*raised", text):  # a file of a group was taken for a setting of that name
            return "is not a setting; begin the file with `# @package _global_`"
        return f"is not a setting; {did_you_mean(key.rpartition('.')[2], _siblings(chain, key, groups))}"
    value = r"Value '(.*?)' (?:of type '\w+' )?(?:could not be converted to|is not a valid) (\w+)"
    if match := re.search(value, text, re.DOTALL):
        return f"is {match[1]!r}; expected a value of type {match[2].lower()}"
    if match := re.search(r"(\w+) is not a ListConfig", text):
        return f"has type {match[1]}; expected a list, as in {key}=[...]"
    if re.search(r"is not Optional|NoneType is not", text):
        return "is null; it needs a value"
    message = next(str(error).splitlines()[0] for error in chain if "full_key:" in str(error))
    return f"cannot be set: {message}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _siblings(chain: list[BaseException], key: str, groups: Sequence[str]) -> list[str]:
    """Return the settings next to an unknown key, from the config node where the error happened."""
    for error in chain:
        node = getattr(error, "parent_node", None)
        if node is not None and hasattr(node, "keys"):
            names = {str(name) for name in node.keys()} - {key, "hydra"}  # noqa: SIM118  a DictConfig
            return sorted(names.union(groups) if names.intersection(groups) else names)
    return []
