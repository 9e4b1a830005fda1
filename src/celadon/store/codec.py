"""Domain values to plain JSON and back.

A dataclass becomes an object of its fields. Where a field may hold one of several dataclasses, the object also
says which under `type`. A field that the JSON lacks takes the dataclass's default, so that records written before
the field was there are read for ever; a field that the dataclass lacks was written by a newer celadon and is
refused. Numbers and strings are never converted into one another.
"""

import types
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from enum import StrEnum
from typing import Any, NoReturn, Union, get_args, get_origin

from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError, StructureHandlerNotFoundError

from celadon.domain.reason import Value
from celadon.store.canonical import EXACT

TAG = "type"
"""The key that names the class of a value that could have been of another class."""


class DecodeError(Exception):
    """JSON that is not a value of the wanted type, with everything that is wrong in it."""


def encode(value: Any, of: Any = None) -> Any:
    """A domain value as plain JSON. of: the type it will be decoded as, when that is not its own class."""
    return _CONVERTER.unstructure(value, unstructure_as=of)


def decode(of: Any, data: Any) -> Any:
    """The value of type `of` that plain JSON stands for; raises DecodeError."""
    try:
        return _CONVERTER.structure(data, of)
    except (
        BaseValidationError,
        ForbiddenExtraKeysError,
        StructureHandlerNotFoundError,
        TypeError,
        ValueError,
        KeyError,
        AttributeError,
        AssertionError,
    ) as error:
        raise DecodeError(_what_is_wrong(error)) from error


def _what_is_wrong(error: BaseException) -> str:
    if isinstance(error, BaseValidationError):
        return "; ".join(transform_error(error, path="value"))
    return str(error) or type(error).__name__


def _is_union(of: Any) -> bool:
    return get_origin(of) in (Union, types.UnionType)


def _classes(of: Any) -> dict[str, Any]:
    """The dataclasses in a union by name; a generic one such as `Known[X]` goes by its class's name."""
    named = ((get_origin(member) or member, member) for member in get_args(of))
    return {
        plain.__name__: member for plain, member in named if isinstance(plain, type) and is_dataclass(plain)
    }


def _is_tagged(of: Any) -> bool:
    return _is_union(of) and len(_classes(of)) > 1


def _tagged_encoder(of: Any, converter: Converter) -> Callable[[Any], Any]:
    members = _classes(of)

    def unstructure(value: Any) -> Any:
        if value is None:
            return None
        name = type(value).__name__
        return {TAG: name, **converter.unstructure(value, unstructure_as=members[name])}

    return unstructure


def _tagged_decoder(of: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    members = _classes(of)
    optional = type(None) in get_args(of)

    def structure(data: Any, _of: Any) -> Any:
        if data is None and optional:
            return None
        if not isinstance(data, Mapping) or data.get(TAG) not in members:
            found = data.get(TAG) if isinstance(data, Mapping) else data
            raise ValueError(f"expected one of {', '.join(members)}, found {found!r}")
        rest = {key: value for key, value in data.items() if key != TAG}
        return converter.structure(rest, members[data[TAG]])

    return structure


def _refuse(data: Any, wanted: str) -> NoReturn:
    raise ValueError(f"expected {wanted}, found {type(data).__name__}")


def _strict_str(data: Any, _of: Any) -> str:
    return data if isinstance(data, str) else _refuse(data, "a string")


def _strict_bool(data: Any, _of: Any) -> bool:
    return data if isinstance(data, bool) else _refuse(data, "true or false")


def _strict_int(data: Any, _of: Any) -> int:
    return data if isinstance(data, int) and not isinstance(data, bool) else _refuse(data, "an integer")


def _strict_float(data: Any, _of: Any) -> float:
    # RFC 8785 writes 1.0 as 1, so a whole number comes back as an integer.
    if isinstance(data, bool) or not isinstance(data, int | float):
        _refuse(data, "a number")
    return float(data)


def _scalar(data: Any, _of: Any) -> Any:
    if isinstance(data, int) and abs(data) >= EXACT:
        # Only a float is ever written that large, and RFC 8785 writes it without a point.
        return float(data)
    return data if data is None or isinstance(data, str | int | float) else _refuse(data, "one plain value")


def _base64(data: Any, _of: Any) -> bytes:
    return b64decode(_strict_str(data, str), validate=True)


def _is_set(of: Any) -> bool:
    return (get_origin(of) or of) is frozenset


def _has_keys_of_parts(of: Any) -> bool:
    """Whether a mapping's keys are dataclasses, which can not be the keys of a JSON object."""
    return get_origin(of) is Mapping and is_dataclass(get_args(of)[0])


def _pairs_encoder(of: Any, converter: Converter) -> Callable[[Any], Any]:
    key, value = get_args(of)

    def unstructure(pairs: Mapping[Any, Any]) -> list[list[Any]]:
        return [
            [converter.unstructure(k, key), converter.unstructure(pairs[k], value)] for k in sorted(pairs)
        ]

    return unstructure


def _pairs_decoder(of: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    key, value = get_args(of)

    def structure(data: Any, _of: Any) -> dict[Any, Any]:
        return dict(converter.structure(data, list[tuple[key, value]]))  # type: ignore[valid-type]

    return structure


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, unstruct_collection_overrides={tuple: list})
    strict = {str: _strict_str, bool: _strict_bool, int: _strict_int, float: _strict_float, bytes: _base64}
    for plain, hook in strict.items():
        converter.register_structure_hook(plain, hook)
    # The hook of `str` would also catch its subclasses.
    converter.register_structure_hook(StrEnum, lambda data, of: of(data))
    converter.register_unstructure_hook(bytes, lambda data: b64encode(data).decode())
    converter.register_structure_hook(Value, _scalar)
    converter.register_unstructure_hook(Value, lambda value: value)
    converter.register_unstructure_hook_func(
        _is_set, lambda values: [converter.unstructure(value) for value in sorted(values)]
    )
    converter.register_unstructure_hook_factory(_has_keys_of_parts, _pairs_encoder)
    converter.register_structure_hook_factory(_has_keys_of_parts, _pairs_decoder)
    converter.register_unstructure_hook_factory(_is_tagged, _tagged_encoder)
    converter.register_structure_hook_factory(_is_tagged, _tagged_decoder)
    return converter


_CONVERTER = _converter()
