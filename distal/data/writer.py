"""Write a pool: Parquet files in the Hugging Face image convention, whole or not at all."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from distal.data.encryption import encryption
from distal.errors import PoolError, StorageError

_GROUP_ROWS = 1000
_GROUP_BYTES = 16 * 2**20
_FILE_BYTES = 256 * 2**20
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


class PoolWriter:
    """Collect images and write them, a row group in memory at a time.

    out: a file that ends in .parquet, or a folder that gets part-00000.parquet, ... of about 256 MB. Everything goes to
    a temporary name beside `out`, which takes its place when the `with` block ends without an error.
    classes: class names in label order; None leaves the label column out. encrypt: by the key of the environment.
    Raises PoolError where `out` exists or no image was added, StorageError where it cannot be written.
    """

    def __init__(self, out: Path, classes: tuple[str, ...] | None, encrypt: bool = False) -> None:
        self._out = out.expanduser().absolute()
        self._single = out.suffix == ".parquet"
        self._temporary = self._out.with_name(f".{self._out.name}.tmp-{os.getpid()}")
        self._schema = pool_schema(classes)
        self._labeled = classes is not None
        self._images: list[tuple[bytes, str]] = []
        self._labels: list[int | None] = []
        self._group_bytes = 0
        self._file_bytes = 0
        self._files = 0
        self._open: pq.ParquetWriter | None = None
        self._hash = hashlib.sha256()
        self.rows = 0
        self._encrypt = encrypt
        if encrypt:
            encryption()  # a missing key is said before an image is read

    def __enter__(self) -> "PoolWriter":
        if self._out.is_file() or (self._out.is_dir() and (self._single or any(self._out.iterdir()))):
            raise PoolError(f"{self._out} exists.\nChoose another place for the pool, or remove it first.")
        with self._storage_errors():
            (self._out.parent if self._single else self._temporary).mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            if self._open is not None:
                with contextlib.suppress(OSError):  # the disk that failed to write may fail to close
                    self._open.close()
            if self._temporary.is_dir():
                shutil.rmtree(self._temporary)
            else:
                self._temporary.unlink(missing_ok=True)

    def add(self, data: bytes, path: str, label: int | None) -> None:
        """Add one encoded image, its name, and its class ordinal or None."""
        self._images.append((data, path))
        self._labels.append(label)
        self._group_bytes += len(data)
        self.rows += 1
        if len(self._images) >= _GROUP_ROWS or self._group_bytes >= _GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        columns = {"image": pa.array([{"bytes": b, "path": p} for b, p in self._images], _IMAGE)}
        if self._labeled:
            columns["label"] = pa.array(self._labels, pa.int64())
        for (data, path), label in zip(self._images, self._labels, strict=True):
            self._hash.update(f"{len(data)}\0{path}\0{label}\0".encode(errors="surrogateescape") + data)
        table = pa.table(columns, schema=self._schema)
        with self._storage_errors():
            if self._open is None:
                self._open = self._open_file()
            self._open.write_table(table)
        self._file_bytes += self._group_bytes
        self._images, self._labels, self._group_bytes = [], [], 0
        if self._file_bytes >= _FILE_BYTES and not self._single:
            self._close_file()

    def _open_file(self) -> pq.ParquetWriter:
        # The images are compressed already. Their statistics would copy whole images into the footer.
        return pq.ParquetWriter(
            self._path(),
            self._schema,
            compression={"image.bytes": "NONE", "image.path": "ZSTD", "label": "ZSTD"},
            use_dictionary=["label"],
            write_statistics=["label"],
            encryption_properties=encryption() if self._encrypt else None,
        )

    def _path(self) -> Path:
        return self._temporary if self._single else self._temporary / f"part-{self._files:05d}.parquet"

    def _close_file(self) -> None:
        assert self._open is not None, "a file is open"
        with self._storage_errors():
            # The content's hash lies in the footer, and by it in the pool's fingerprint.
            self._open.add_key_value_metadata({"distal.sha256": self._hash.hexdigest()})
            self._open.close()
            with self._path().open("rb") as stream:
                os.fsync(stream.fileno())
        self._open = None
        self._files += 1
        self._file_bytes = 0

    def _finish(self) -> None:
        if self.rows == 0:
            raise PoolError(f"No image was found to write to {self._out}.\nExpected at least one that can be read.")
        if self._images:
            self._write_group()
        if self._open is not None:
            self._close_file()
        with self._storage_errors():
            self._temporary.replace(self._out)
            folder = os.open(self._out.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"Cannot write the pool to {self._out}: {error.strerror or error}\n"
                "Choose a folder with space that you may write to; nothing was left behind."
            ) from error


def pool_schema(classes: tuple[str, ...] | None) -> pa.Schema:
    """Return the columns of a pool, with the class names where a Hugging Face reader looks for them."""
    fields = [pa.field("image", _IMAGE)]
    features: dict[str, object] = {"image": {"_type": "Image"}}
    if classes is not None:
        fields.append(pa.field("label", pa.int64()))
        features["label"] = {"names": list(classes), "_type": "ClassLabel"}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
