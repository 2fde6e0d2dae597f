"""A run of two short rounds whose pool, held-out images and run directory lie on S3, and what it leaves."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.fs
from buckets import S3Server, download
from small_pools import write_extractor, write_pool
from two_rounds import BATCH, final_files, tree

from distal.data.digits import digit_images
from distal.run.directory import RunDirectory

POOL_ROWS, HELD_OUT_ROWS = 400, 200
DIGITS = [str(digit) for digit in range(10)]


def write_digits(folder: Path) -> None:
    """Write a pool and held-out images as two Parquet files."""
    rows = digit_images()
    for name, part in (("pool", rows[:POOL_ROWS]), ("held-out", rows[POOL_ROWS : POOL_ROWS + HELD_OUT_ROWS])):
        write_pool(folder / f"{name}.parquet", [row[0] for row in part], [row[2] for row in part])


def upload(folder: Path, uri: str) -> None:
    target, path = pyarrow.fs.FileSystem.from_uri(uri)
    local = pyarrow.fs.LocalFileSystem()
    pyarrow.fs.copy_files(str(folder), path, source_filesystem=local, destination_filesystem=target)


def local_tree(folder: Path, decoded: Path, name: str = "run") -> dict[str, Any]:
    """Describe the run on this machine's disk."""
    return _tree(str(folder / "runs"), name, str(folder / "{}.parquet"), decoded)


def s3_tree(server: S3Server, bucket: str, decoded: Path, name: str = "run") -> dict[str, Any]:
    """Describe the same run on S3; its URIs hold all that a process without our environment needs."""
    return _tree(server.uri(f"{bucket}/runs"), name, server.uri(f"{bucket}/images/{{}}.parquet"), decoded)


def _tree(storage: str, name: str, images: str, decoded: Path) -> dict[str, Any]:
    whole = tree(decoded)
    pool = {"shards": 1, "path": images.format("pool"), "cache": str(decoded), "classes": DIGITS}
    coarse = decoded / "coarse.pt"  # costs nothing, where the usual extractor would be trained once a storage
    if not coarse.exists():
        write_extractor(coarse)
    extractor = {"extractor": "inception", "extractor_path": str(coarse)}
    evaluate = {**whole["evaluate"], **extractor, "path": images.format("held-out")}
    query = {"strategy": "margin", "batch": BATCH}
    return {**whole, "storage": storage, "name": name, "pool": pool, "query": query, "evaluate": evaluate}


def run_at(whole: dict[str, Any]) -> RunDirectory:
    return RunDirectory.open(whole["storage"], whole["name"])


def files_left(whole: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the files of a run as `final_files` does, without what names their place."""
    path, question, options = whole["storage"].partition("?")
    source = f"{path}/{whole['name']}{question}{options}"
    if question:
        download(source, folder / "run")
    else:
        shutil.copytree(source, folder / "run")
    files = final_files(folder)
    tables = json.loads(files["tables.json"])["tables"]
    files["tables.json"] = [file["tail_sha256"] for table in tables for file in table["files"]]
    config = files["config.yaml"]
    del config["name"], config["pool"]["path"], config["pool"]["cache"], config["evaluate"]["path"]
    return files
