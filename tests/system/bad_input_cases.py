"""List bad input: what is typed, the exit code, and words that its message must hold."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from small_pools import images
from spoiled_place import Place

GIVEN = b"row_id,label\n40,0\n"
USAGE, CONFIG, POOL, STORAGE, RUN, EVALUATION, CLUSTER = 2, 2, 3, 5, 6, 8, 9


def _npz(at: Place, **arrays: np.ndarray) -> str:
    np.savez(at.folder / "array.npz", **arrays)
    return str(at.folder / "array.npz")


def _pickled(at: Place) -> str:
    np.save(at.folder / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return str(at.folder / "objects.npy")


def _archive(at: Place) -> Path:
    with zipfile.ZipFile(at.folder / "other.pt", "w") as archive:
        archive.writestr("hello.txt", "no module")
    return at.folder / "other.pt"


def _import(at: Place, source: object, *options: str) -> list[str]:
    return ["data", "import", str(source), str(at.folder / "out.parquet"), *options]


def _cut(at: Place) -> Path:
    return at.file("cut.parquet", at.pool.read_bytes()[:-100])


def _yaml(at: Place, text: str) -> list[str]:
    return ["run", str(at.file("c.yaml", text.encode())), *at.settings()]


def _finished(at: Place, *overrides: str) -> list[str]:
    at.copied()
    return at.run("name=finished", *overrides)


def _folder(at: Place, name: str) -> Path:
    (at.folder / name).mkdir()
    return at.folder / name


Arguments = Callable[[Place], list[str]]

REFUSED_AT_ONCE: dict[str, tuple[int, tuple[str, ...], Arguments]] = {
    # configuration
    "no command of this name": (USAGE, ("nosuch",), lambda at: ["nosuch"]),
    "missing argument": (USAGE, ("Missing argument",), lambda at: ["status"]),
    "option out of range": (USAGE, ("--per-class",), lambda at: ["generate", "x", "-o", "a.png", "-n", "0"]),
    "missing yaml": (CONFIG, ("none.yaml", "No such file", "distal config"), lambda at: ["run", "none.yaml"]),
    "yaml that is a folder": (CONFIG, ("Is a directory",), lambda at: ["run", str(at.folder)]),
    "yaml that is binary": (CONFIG, ("c.bin", "UTF-8"), lambda at: ["run", str(at.file("c.bin", b"\xff\xfe\x00"))]),
    "bad yaml": (CONFIG, ("c.yaml", "not valid YAML"), lambda at: _yaml(at, "pool: [1, ")),
    "yaml of a list": (CONFIG, ("c.yaml", "list"), lambda at: _yaml(at, "- 1\n- 2\n")),
    "unknown key": (CONFIG, ("did you mean 'query.strategy'",), lambda at: at.run("query.strateg=margin")),
    "unknown section": (CONFIG, ("quary", "did you mean 'query'"), lambda at: at.run("quary.batch=3")),
    "key without a value": (CONFIG, ("'rounds'", "key=value"), lambda at: at.run("rounds")),
    "key below a value": (CONFIG, ("rounds.x", "not a section"), lambda at: at.run("rounds.x=1")),
    "override that is no yaml": (CONFIG, ("pool.classes", "Quote"), lambda at: at.run("pool.classes=[a")),
    "text for a number": (CONFIG, ("query.batch", "many", "labels asked"), lambda at: at.run("query.batch=many")),
    "negative number": (CONFIG, ("rounds", "-1", "at most"), lambda at: at.run("rounds=-1")),
    "not a number": (CONFIG, ("model.learning_rate_g", "finite"), lambda at: at.run("model.learning_rate_g=.nan")),
    "fraction above one": (CONFIG, ("oracle.noise", "2"), lambda at: at.run("oracle.noise=2")),
    "size that is not offered": (CONFIG, ("pool.image_size", "48"), lambda at: at.run("pool.image_size=48")),
    "unknown strategy": (CONFIG, ("query.strategy", "'margin'"), lambda at: at.run("query.strategy=margn")),
    "unknown oracle": (CONFIG, ("oracle.kind", "dataset"), lambda at: at.run("oracle.kind=datasett")),
    "unknown network": (CONFIG, ("net.name", "residual"), lambda at: at.run("net.name=residul")),
    "unknown loss": (CONFIG, ("model.adversarial", "'hinge'"), lambda at: at.run("model.adversarial=hing")),
    "unknown regularizer": (CONFIG, ("model.regularizers", "r3"), lambda at: at.run("model.regularizers.r3=1")),
    "unknown augmentation": (CONFIG, ("train.augment", "'flip'"), lambda at: at.run("train.augment=[flp]")),
    "unknown extractor": (CONFIG, ("evaluate.extractor", "pool-cnn"), lambda at: at.run("evaluate.extractor=cnn")),
    "workers not dividing the batch": (
        CONFIG, ("train.batch_size", "multiple"), lambda at: at.run("train.workers=3", "train.batch_size=8"),
    ),
    "budget that the rounds cannot spend": (CONFIG, ("stop.labels", "Raise"), lambda at: at.run("stop.labels=99")),
    "noise of people": (
        CONFIG, ("oracle.noise", "files"), lambda at: at.run("oracle.kind=files", "oracle.noise=0.1"),
    ),
    "function from the command line": (CONFIG, ("callable", "files"), lambda at: at.run("oracle.kind=callable")),
    "cost of an unknown class": (CONFIG, ("oracle.cost", "'cat'", "0, 1"), lambda at: at.run("oracle.cost.cat=2")),
    # pool
    "missing file": (POOL, ("none.parquet", "pool.path"), lambda at: at.run(f"pool.path={at.folder}/none.parquet")),
    "missing folder": (POOL, ("no such folder",), lambda at: at.run("pool.path=/none/at/all.parquet")),
    "glob without a match": (POOL, ("no file",), lambda at: at.run(f"pool.path={at.folder}/*.parquet")),
    "empty folder": (POOL, ("empty",), lambda at: at.run(f"pool.path={_folder(at, 'empty')}")),
    "unknown scheme": (POOL, ("ftp://", "s3://"), lambda at: at.run("pool.path=ftp://host/x.parquet")),
    "file uri of nothing": (POOL, ("file:///none",), lambda at: at.run("pool.path=file:///none/x.parquet")),
    "empty path": (POOL, ("empty",), lambda at: at.run('pool.path=""')),
    "no paths": (POOL, ("empty list",), lambda at: at.run("pool.path=[]")),
    "not parquet": (POOL, ("a.txt", "distal data import"), lambda at: at.run(f"pool.path={at.file('a.txt', b'hi')}")),
    "parquet cut short": (POOL, ("cut.parquet", "cut short"), lambda at: at.run(f"pool.path={_cut(at)}")),
    "no image column": (
        POOL, ("img", "pool.image_column"), lambda at: at.run(at.as_table(img=[b'a'], label=[0])),
    ),
    "images as paths": (
        POOL, ("string", "distal data import"), lambda at: at.run(at.as_table(image=['a.png'])),
    ),
    "images as numbers": (
        POOL, ("int64", "binary"), lambda at: at.run(at.as_table(image=[1, 2], label=[0, 1])),
    ),
    "labels as fractions": (
        POOL, ("double", "pool.label_column=null"), lambda at: at.run(at.as_table(image=[b'a'], label=[0.5])),
    ),
    "no rows": (POOL, ("empty",), lambda at: at.run(at.as_pool([], pa.array([], pa.int64())))),
    "no image that can be read": (
        POOL, ("None of the first images",), lambda at: at.run(at.as_pool([b'no image'] * 40, [0, 1] * 20)),
    ),
    "one class only": (
        CONFIG, ("one class", "pool.classes"), lambda at: at.run(at.as_pool(images(40), [0] * 40)),
    ),
    "label outside the classes": (
        POOL,
        ("Row 1 of the pool has the label 7", "pool.classes"),
        lambda at: at.run(at.as_pool(images(40), [0, 7] * 20), "pool.classes=[a, b]"),
    ),
    "ids as labels": (
        POOL, ("no class labels", "pool.label_column"), lambda at: at.run(at.as_pool(images(2), [0, 10**9])),
    ),
    "a class named twice": (POOL, ("twice",), lambda at: at.run("pool.classes=[a, a]")),
    "label column of another name": (
        POOL, ("'labl'", "'label'", "pool.label_column"), lambda at: at.run("pool.label_column=labl"),
    ),
    "dataset oracle without labels": (
        CONFIG,
        ("oracle.kind", "files"),
        lambda at: at.run(at.as_pool(images(40)), "pool.classes=[a, b]"),
    ),
    "class name outside the classes": (
        POOL,
        ("'cat'", "pool.classes"),
        lambda at: at.run(at.as_pool(images(40), ['cat', 'dog'] * 20), "pool.classes=[kat, dog]"),
    ),
    "dataset oracle without a label": (
        CONFIG,
        ("the pool has none", "oracle.kind=files"),
        lambda at: at.run(at.as_pool(images(40), pa.array([None] * 40, pa.int64())), "pool.classes=[a, b]"),
    ),
    "given labels not there": (CONFIG, ("query.labels", "none.csv"), lambda at: at.run("query.labels=none.csv")),
    "given label of an unknown row": (
        CONFIG,
        ("line 2", "'40'", "0 to 39"),
        lambda at: at.run(f"query.labels={at.file('mine.csv', GIVEN)}"),
    ),
    "no classes at all": (
        CONFIG, ("pool.classes=[",), lambda at: at.run(at.as_pool(images(40)), "oracle.kind=files"),
    ),
    "budget above the pool": (CONFIG, ("400", "40", "Lower"), lambda at: at.run("query.batch=400")),
    # evaluation
    "evaluation on the pool": (
        CONFIG,
        ("evaluate.path", "allow_overlap"),
        lambda at: at.run(f"evaluate.path={at.pool}"),
    ),
    "missing evaluation images": (POOL, ("evaluate.path", "none"), lambda at: at.run("evaluate.path=/none.parquet")),
    "evaluation images of more classes": (
        POOL,
        ("evaluate.path", "2 classes"),
        lambda at: at.run(f"evaluate.path={at.pool_of(images(30, 2), [0, 1, 5] * 10)}"),
    ),
    "evaluation labels of another name": (
        POOL, ("evaluate.label_column",), lambda at: at.run("evaluate.label_column=truth"),
    ),
    "one evaluation image": (
        POOL, ("evaluation images", "evaluate.path"), lambda at: at.run(f"evaluate.path={at.pool_of(images(1, 2))}"),
    ),
    "too little held out": (
        POOL, ("evaluate.holdout",), lambda at: at.run("evaluate.path=null", "evaluate.holdout=0.0001"),
    ),
    "inception without a path": (
        CONFIG,
        ("extractor_path", "pool-cnn"),
        lambda at: at.run("evaluate.extractor_path=null"),
    ),
    "missing extractor file": (EVALUATION, ("/none.pt",), lambda at: at.run("evaluate.extractor_path=/none.pt")),
    "extractor that is no TorchScript": (
        EVALUATION,
        ("TorchScript", "torch.jit.save"),
        lambda at: at.run(f"evaluate.extractor_path={at.file('x.pt', b'x' * 99)}"),
    ),
    # storage and the run directory
    "storage under a file": (STORAGE, ("file stands",), lambda at: at.run(f"storage={at.file('taken')}/runs")),
    "unwritable storage": (STORAGE, ("/proc/distal",), lambda at: at.run("storage=/proc/distal")),
    "storage of an unknown scheme": (STORAGE, ("ftp://host",), lambda at: at.run("storage=ftp://host/x")),
    "bad run name": (CONFIG, ("name", "a/b"), lambda at: at.run("name=a/b")),
    "other configuration under this name": (RUN, ("query.batch", "name="), lambda at: _finished(at, "query.batch=5")),
    "other images under this name": (
        RUN, ("pool changed", "Restore"), lambda at: _finished(at, at.as_pool(images(40, 3), [0, 1] * 20)),
    ),
    "unreachable cluster": (
        CLUSTER, ("127.0.0.1:1", "ray start"), lambda at: _finished(at, "address=127.0.0.1:1", "pool.shards=1"),
    ),
    "cluster address that is none": (CLUSTER, ("host:port", "ray start"), lambda at: at.run("address=host:port")),
    "resume of nothing": (RUN, ("no run here",), lambda at: at.to("resume", at.storage / "none")),
    "resume of a bad name": (RUN, ("refused", "letters"), lambda at: at.to("resume", at.storage / "a b")),
    "resume with a changed strategy": (
        RUN, ("query.strategy",), lambda at: at.to("resume", at.copied(), "query.strategy=entropy"),
    ),
    "status of nothing": (RUN, ("no run here", "<storage>/<name>"), lambda at: at.to("status", at.storage / "none")),
    "report of nothing": (RUN, ("no run here",), lambda at: at.to("report", at.storage / "none")),
    "config.yaml that is no yaml": (
        RUN,
        ("config.yaml", "Restore"),
        lambda at: at.to("status", at.damaged("config.yaml", b"a: [")),
    ),
    "config.yaml of something else": (
        RUN, ("config.yaml", "Restore"), lambda at: at.to("resume", at.damaged("config.yaml", b"rounds: 3")),
    ),
    "config.yaml edited by hand": (
        RUN,
        ("config.yaml", "was changed", "KEY=VALUE"),
        lambda at: at.to(
            "resume",
            at.damaged("config.yaml", (at.finished / "config.yaml").read_bytes().replace(b"noise: 0.0", b"noise: 0.2")),
        ),
    ),
    "resume with a stray round": (
        RUN,
        ("round 5 is there", "rounds/0002/COMMITTED", "Restore"),
        lambda at: at.to("resume", at.damaged("rounds/0005/COMMITTED", b""), "rounds=2"),
    ),
    "report of emptied samples": (
        STORAGE,
        ("samples.png is damaged", "Restore"),
        lambda at: at.to("report", at.damaged("rounds/0001/samples.png", b"")),
    ),
    "config.yaml with half a record": (
        RUN, ("fingerprint",), lambda at: at.to("status", at.damaged("config.yaml", b"resolved: {rows: 3}")),
    ),
    "damaged metrics": (
        STORAGE, ("metrics.json", "Restore"), lambda at: at.to("status", at.damaged("rounds/0001/metrics.json", b"{")),
    ),
    "damaged query": (
        STORAGE,
        ("query.parquet", "Restore"),
        lambda at: at.to("status", at.damaged("rounds/0001/query.parquet", b"PAR1")),
    ),
    "damaged labels": (
        STORAGE,
        ("labels.parquet", "Restore"),
        lambda at: at.to("report", at.damaged("rounds/0001/labels.parquet", b"")),
    ),
    "resume with damaged labels": (
        STORAGE,
        ("labels.parquet", "Restore"),
        lambda at: at.to("resume", at.damaged("rounds/0001/labels.parquet", b"PAR1"), "rounds=2"),
    ),
    # generate and evaluate
    "generate from nothing": (RUN, ("no run here",), lambda at: at.to("generate", at.storage / "none", "-o", "a.png")),
    "generate an unknown class": (
        CONFIG, ("'cat'", "0, 1"), lambda at: at.to("generate", at.copied(), "-o", "a.png", "-c", "cat"),
    ),
    "generate of an unknown round": (
        RUN, ("round 9", "--round"), lambda at: at.to("generate", at.copied(), "-o", "a.png", "--round", "9"),
    ),
    "generate to another ending": (CONFIG, (".png", "a.jpg"), lambda at: at.to("generate", at.copied(), "-o", "a.jpg")),
    "generate to a place that is none": (
        STORAGE, ("--out",), lambda at: at.to("generate", at.copied(), "-o", f"{at.file('taken')}/a.png"),
    ),
    "generate from a damaged checkpoint": (
        STORAGE,
        ("generator.safetensors", "Restore"),
        lambda at: at.to("generate", at.damaged("rounds/0001/checkpoint/generator.safetensors", b"x"), "-o", "a.png"),
    ),
    "generate from a damaged manifest": (
        STORAGE,
        ("manifest.json", "Restore"),
        lambda at: at.to("generate", at.damaged("rounds/0001/checkpoint/manifest.json", b"{"), "-o", "a.png"),
    ),
    "evaluate with other keys": (
        CONFIG, ("train.steps", "evaluate."), lambda at: at.to("evaluate", at.copied(), "train.steps=3"),
    ),
    "evaluate by an extractor that is offline": (
        EVALUATION,
        ("http://127.0.0.1:1", "Offline"),
        lambda at: at.to("evaluate", at.copied(), "evaluate.extractor_path=http://127.0.0.1:1/x.pt"),
    ),
    "evaluate by another archive": (
        EVALUATION,
        ("TorchScript",),
        lambda at: at.to("evaluate", at.copied(), f"evaluate.extractor_path={_archive(at)}"),
    ),
    # data
    "info of nothing": (POOL, ("none.parquet",), lambda at: ["data", "info", str(at.folder / "none.parquet")]),
    "import of nothing": (POOL, ("No such file",), lambda at: _import(at, at.folder / "none")),
    "import of an unknown format": (POOL, ("Cannot tell", "--kind"), lambda at: _import(at, at.file("a.xyz"))),
    "import of an unknown kind": (
        POOL,
        ("did you mean 'folder'",),
        lambda at: _import(at, at.folder, "--kind", "foldr"),
    ),
    "import of an unknown split": (POOL, ("split", "test"), lambda at: _import(at, at.folder, "--split", "tst")),
    "import of an empty folder": (POOL, ("no image file",), lambda at: _import(at, _folder(at, "empty"))),
    "import of a zip": (POOL, ("Unpack",), lambda at: _import(at, at.file("a.zip", b"PK"))),
    "import of a pickle": (POOL, ("pickled", "numbers"), lambda at: _import(at, _pickled(at))),
    "import of NaN alone": (
        POOL, ("No image",), lambda at: _import(at, _npz(at, X=np.full((3, 8, 8), np.nan, np.float32))),
    ),
    "import of mismatched labels": (
        POOL,
        ("Labels", "3"),
        lambda at: _import(at, _npz(at, X=np.zeros((3, 8, 8), np.uint8), y=np.zeros(2, np.int64))),
    ),
    "import of numbers out of range": (
        POOL, ("0..255",), lambda at: _import(at, _npz(at, X=np.full((3, 8, 8), 999, np.int64))),
    ),
    "import onto a pool": (POOL, ("exists",), lambda at: ["data", "import", "digits", str(at.pool)]),
    "import to a place that is none": (
        STORAGE, ("Cannot write",), lambda at: ["data", "import", "digits", f"{at.file('taken')}/out.parquet"],
    ),
}  # fmt: skip

REFUSED_ON_THE_CLUSTER: dict[str, tuple[int, tuple[str, ...], Arguments]] = {
    "more GPUs than there are": (CLUSTER, ("GPUs", "Lower"), lambda at: at.run("pool.gpus_per_shard=1")),
    "more CPUs than there are": (CLUSTER, ("CPUs", "Lower"), lambda at: at.run("pool.cpus_per_shard=99")),
    "all images corrupt": (
        POOL,
        ("0 rows", "skipped.json"),
        lambda at: at.run(
            at.as_pool([b'no image'] * 40, [0, 1] * 20), "pool.image_size=8", "pool.channels=1"
        ),
    ),
    "damaged pages": (
        POOL,
        ("pages.parquet",),
        lambda at: at.run(f"pool.path={at.file('pages.parquet', _spoiled(at.pool.read_bytes()))}"),
    ),
    "unwritable cache": (STORAGE, ("pool.cache",), lambda at: at.run(f"pool.cache={at.file('taken')}/cache")),
    "archive for an extractor": (
        EVALUATION, ("TorchScript",), lambda at: at.run(f"evaluate.extractor_path={_archive(at)}"),
    ),
    "resume from a damaged checkpoint": (
        STORAGE,
        ("averaged_generator.safetensors", "Restore"),
        lambda at: [
            "resume",
            str(at.damaged("rounds/0001/checkpoint/averaged_generator.safetensors", b"")),
            "rounds=2",
        ],
    ),
}  # fmt: skip


def _spoiled(parquet: bytes) -> bytes:
    """Return the file with zeros in the middle of its pages, and its footer as it was."""
    return parquet[:200] + bytes(1500) + parquet[1700:]
