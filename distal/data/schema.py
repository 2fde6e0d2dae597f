"""Check the columns of a pool: an image column in the Hugging Face convention, and labels with their class names."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from distal.config import PoolConfig
from distal.data.source import Source
from distal.errors import PoolError, nearest_name

_DEFAULT_LABEL = str(PoolConfig.model_fields["label_column"].default)


@dataclass(frozen=True)
class Columns:
    """Name the columns that are read and what they hold. Picklable.

    nested: the image column is struct<bytes, path>, else plain binary. label: None where the pool has no labels.
    label_kind: "code" for integers, "name" for strings. classes: names in label order, None where nothing names them.
    paths: the images of every file have a path.
    """

    image: str
    nested: bool
    label: str | None
    label_kind: Literal["code", "name"] | None
    classes: tuple[str, ...] | None
    paths: bool = field(default=False, compare=False)  # a path is only shown, so files may differ in having one


def read_columns(source: Source, footers: Sequence[pq.FileMetaData], pool: PoolConfig) -> Columns:
    """Check every file's schema against the first file's and the configuration.

    Raises PoolError for a missing column (naming the nearest), a type that holds no images or labels, files that
    differ, and class names that contradict each other.
    """
    first: Columns | None = None
    paths = True
    for file, footer in zip(source.files, footers, strict=True):
        columns = _file_columns(footer.schema.to_arrow_schema(), file.name, pool)
        paths = paths and columns.paths
        if first is None:
            first = columns
        elif columns != first:
            raise PoolError(
                f"{file.name} has another schema than {source.files[0].name}: {_difference(first, columns)}.\n"
                "Expected the same columns in every file; name only files that belong together in pool.path."
            )
    assert first is not None, "a source holds at least one file"
    return replace(first, paths=paths)


def _file_columns(schema: pa.Schema, name: str, pool: PoolConfig) -> Columns:
    nested = _check_image(schema, name, pool.image_column)
    label, kind = _check_label(schema, name, pool.label_column)
    named = _schema_classes(schema, name, label) if label is not None else None
    given = tuple(pool.classes) if pool.classes is not None else None
    if given is not None and len(set(given)) != len(given):
        raise PoolError(f"pool.classes names a class twice: {', '.join(given)[:200]}.\nExpected distinct names.")
    if named is not None and given is not None and named != given:
        raise PoolError(
            f"pool.classes contradicts the class names in {name}:\n"
            f"given {_short(given)}; the file says {_short(named)}.\nLeave pool.classes out, or mend it."
        )
    paths = nested and schema.field(pool.image_column).type.get_field_index("path") >= 0
    return Columns(pool.image_column, nested, label, kind, named or given, paths)


def _check_image(schema: pa.Schema, name: str, column: str) -> bool:
    """Return whether the image column is a struct; refuse columns that hold no encoded images."""
    found = _field(schema, name, column, "pool.image_column").type
    if pa.types.is_struct(found):
        index = found.get_field_index("bytes")
        if index >= 0 and _is_binary(found.field(index).type):
            return True
    if _is_binary(found):
        return False
    hint = " It may hold paths: `distal data import FOLDER OUT` embeds the files." if _is_text(found) else ""
    raise PoolError(
        f"Column '{column}' of {name} is of type {str(found)[:120]}.\n"
        f"Expected encoded images: struct<bytes: binary, path: string> or binary.{hint}"
    )


def _check_label(
    schema: pa.Schema, name: str, column: str | None
) -> tuple[str, Literal["code", "name"]] | tuple[None, None]:
    if column is None or (column == _DEFAULT_LABEL and column not in schema.names):
        return None, None
    found = _field(schema, name, column, "pool.label_column").type
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_integer(found):
        return column, "code"
    if _is_text(found):
        return column, "name"
    raise PoolError(
        f"Label column '{column}' of {name} is of type {str(found)[:120]}.\n"
        "Expected integers, or class names as strings. Set pool.label_column=null to read no labels."
    )


def _field(schema: pa.Schema, name: str, column: str, key: str) -> pa.Field:
    found = schema.get_all_field_indices(column)
    if len(found) == 1:
        return schema.field(found[0])
    if found:
        raise PoolError(
            f"{name} has {len(found)} columns called '{column}', so which of them counts is unclear.\n"
            f"Write the file again with one, or name another in {key}."
        )
    near = nearest_name(column, schema.names)
    raise PoolError(
        f"{name} has no column '{column}'" + (f": {near}" if near else ".") + "\n"
        f"Its columns: {', '.join(schema.names)[:300] or 'none'}. Set {key}."
    )


def _schema_classes(schema: pa.Schema, name: str, label: str) -> tuple[str, ...] | None:
    """Return the names of the ClassLabel feature in the schema's `huggingface` metadata, None where there is none."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    try:
        feature = json.loads(text)["info"]["features"].get(label, {})
        names = feature.get("names")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # other people's metadata without features: the column itself still says enough
    if feature.get("_type") != "ClassLabel" or not isinstance(names, list) or not names:
        return None
    if not all(_is_name(each) for each in names):
        raise PoolError(f"The huggingface metadata of {name} has class names that are no text.\nExpected strings.")
    texts = tuple(str(each) for each in names)
    if len(set(texts)) != len(texts):
        raise PoolError(f"The huggingface metadata of {name} names a class twice.\nExpected distinct class names.")
    return texts


def _is_name(value: object) -> bool:
    """Return whether a JSON value can name a class: a number, or a string without halves of characters."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return isinstance(value, (int, float))


def _difference(first: Columns, other: Columns) -> str:
    if first.nested != other.nested:
        return f"images as {'binary' if first.nested else 'struct'} instead of {'struct' if first.nested else 'binary'}"
    if (first.label, first.label_kind) != (other.label, other.label_kind):
        return f"labels {other.label_kind or 'missing'} instead of {first.label_kind or 'missing'}"
    return f"classes {_short(other.classes or ())} instead of {_short(first.classes or ())}"


def _short(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:6])[:100]}{', ...' if len(names) > 6 else ''})"


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
