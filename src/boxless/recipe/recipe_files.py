"""Read, override, validate and save recipes; turn pydantic's faults into readable ones."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from boxless.errors import ConfigError, unknown_name
from boxless.recipe.schema import Recipe

REMOVED: Final = {
    "stage1.enabled": "write method = 'class-aware' for a student without stage 1",
    "stage1.selection": "write method = 'regions-nms' for regions that NMS selects, method ="
    " 'regions' for all",
    "run.maps_gib": "set stage1.teacher_maps = 'online' where the disk has no room for kept maps",
}
"""Settings of earlier versions, and what to write instead."""


def builtin_recipes() -> list[str]:
    """Names of the recipes that come with boxless."""
    return list(bundled("recipe.recipes"))


def recipe_text(name: str) -> str:
    """The commented TOML of a built-in recipe.

    Raises:
        ConfigError: There is no such recipe.
    """
    hint = "`boxless recipes list` shows them; a path ending in .toml is read as a file"
    return bundled_text("recipe", "recipe.recipes", name, hint=hint)


def bundled(folder: str) -> dict[str, Traversable]:
    """The TOML files of a folder of the package (dotted), by name."""
    place = resources.files("boxless").joinpath(*folder.split("."))
    files = sorted(place.iterdir(), key=lambda file: file.name)
    return {f.name.removesuffix(".toml"): f for f in files if f.name.endswith(".toml")}


def bundled_text(what: str, folder: str, name: str, *, hint: str) -> str:
    """One of `bundled`; raises `ConfigError` with what it is called and a hint if it is none."""
    known = bundled(folder)
    if name not in known:
        raise ConfigError(unknown_name(what, name, known), hint=hint)
    return known[name].read_text("utf-8")


def toml_value(value: object) -> str:
    """A setting as TOML writes it, such as ``["a", "b"]``; JSON's notation but for DEL."""
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value, default=str)


def load_recipe(name: str, overrides: dict[str, str] | None = None) -> Recipe:
    """Load a recipe by name or path and apply dotted overrides.

    Args:
        name: A built-in recipe or the path of a TOML file.
        overrides: Dotted key -> text of a TOML value, such as ``{"teacher.optim.lr": "1e-3"}``.

    Returns:
        The validated recipe.

    Raises:
        ConfigError: Unknown recipe, TOML fault, unknown key, wrong type or value.
    """
    if name.endswith(".toml"):
        path = Path(name)
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot read recipe {path}: {error.strerror}",
                hint="give the path of a TOML file, or a name that `boxless recipes list` shows",
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"recipe {path} is not UTF-8 text: byte {error.object[error.start]:#04x} at"
                f" {error.start}",
                hint="save the file as UTF-8",
            ) from error
        where = str(path)
    else:
        text, where = recipe_text(name), f"recipe {name!r}"
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{where} is not valid TOML: {error}", hint="mend that line; texts need quotation marks"
        ) from error
    for key, value in (overrides or {}).items():
        _set_dotted(values, key, value)
    return validate(values, where)


def validate(values: dict[str, Any], where: str) -> Recipe:
    """Validate recipe values.

    Args:
        values: Nested values as TOML or JSON give them.
        where: Where they come from, for messages.

    Raises:
        ConfigError: One line per fault.
    """
    try:
        # TOML's dates have no place in a recipe: as texts they are told apart like other faults.
        return Recipe.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise ConfigError(
            f"{where} has {error.error_count()} fault(s):\n" + "\n".join(_faults(error)),
            hint="`boxless recipes show NAME --full` lists every setting with its meaning",
        ) from error


def dotted(recipe: BaseModel) -> dict[str, Any]:
    """All settings as a flat ``{"section.key": value}`` dictionary."""
    return flat(recipe.model_dump(mode="json"))


def flat(values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Nested values with dotted names, below the name of a place."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{place}.{name}" if place else name
        found |= flat(value, key) if isinstance(value, Mapping) else {key: value}
    return found


def known_keys() -> dict[str, str]:
    """Every dotted key of the schema with its description."""
    return {key: field.description or "" for key, field in _fields(Recipe).items()}


def _fields(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        kinds = _kinds(field)
        inner = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if inner is not None:
            found.update(_fields(inner, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = field
    return found


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    """The type of a field, and those that it is made of."""
    return (field.annotation, *get_args(field.annotation))


def _set_dotted(values: dict[str, Any], key: str, text: str) -> None:
    if key in REMOVED:
        raise ConfigError(f"there is no setting {key!r} any more", hint=REMOVED[key])
    if key not in known_keys():
        raise ConfigError(
            unknown_name("setting", key, _near(key)),
            hint="`boxless recipes show NAME --full` lists every setting with its meaning",
        )
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            return  # a fault of the file, which validation names
    is_list = any(get_origin(kind) is tuple for kind in _kinds(_fields(Recipe)[key]))
    values[last] = _list(text) if is_list else _value(text)


def _value(text: str) -> Any:
    """A value as TOML writes it, or an unquoted string, as people type it in a shell."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _list(text: str) -> list[Any]:
    """A list as TOML writes it, or values with commas between; one value alone is a list of it.

    Brackets whose quotation marks a shell has taken, ``[means]``, are no more than commas alone.
    """
    value = _value(text)
    if isinstance(value, list):
        return value
    if value != text:
        return [value]
    text = text.strip()
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return [_value(part.strip()) for part in inner.split(",") if part.strip()]


def _near(key: str) -> list[str]:
    """Keys worth naming when `key` is wrong: its section's, or all that end alike."""
    keys = known_keys()
    if "." not in key:
        return list(Recipe.model_fields)
    section, _, last = key.rpartition(".")
    near = [k for k in keys if k.rpartition(".")[0] == section or k.endswith(f".{last}")]
    return near or list(keys)


def _faults(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        found = fault.get("input")
        match fault["type"]:
            case "extra_forbidden" if key in REMOVED:
                line = f"{key}: there is no such setting any more; {REMOVED[key]}"
            case "extra_forbidden":
                line = unknown_name("setting", key, _near(key))
            case "missing":
                line = f"{key}: missing (it has no default)"
            case "value_error":
                line = f"{key + ': ' if key else ''}{fault['msg'].removeprefix('Value error, ')}"
            case _:
                line = f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}; found {found!r}"
        lines.append(f"  - {line}")
    return lines
