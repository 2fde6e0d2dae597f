"""Files are whole: seen complete or not at all, and refused with a message that says what to do."""

import errno
import fcntl
import os
from pathlib import Path

import pyarrow.fs
import pytest

from distal.errors import StorageAwayError, StorageError
from distal.run import files as storage
from distal.run.files import TEMPORARY, LocalFiles, ObjectFiles, explained, without_keys


class Counted:
    """An object store: it opens streams and nothing else, so that a rename or a folder would fail."""

    def __init__(self, inner):
        self.inner, self.puts = inner, 0

    def open_output_stream(self, path):
        self.puts += 1
        self.inner.create_dir(path.rpartition("/")[0], recursive=True)
        return self.inner.open_output_stream(path)


def objects() -> ObjectFiles:
    return ObjectFiles(pyarrow.fs._MockFileSystem(), "bucket/run", "mock://bucket/run")


@pytest.fixture(params=["local", "objects"])
def files(request, tmp_path):
    return LocalFiles(tmp_path / "store" / "run") if request.param == "local" else objects()


def test_what_is_written_is_read_back_and_replaced_whole(files):
    files.write("a/b/c.bin", b"one")
    files.write("a/b/c.bin", b"")
    assert files.read("a/b/c.bin") == b""
    files.write("a/b/c.bin", b"three")
    assert files.read("a/b/c.bin") == b"three"
    assert files.modified("a/b/c.bin") > 0


def test_listing_is_sorted_and_a_missing_folder_is_empty(files):
    files.write("d/2", b"")
    files.write("d/1", b"")
    assert files.list("d") == ["1", "2"]
    assert files.list("nothing/here") == []
    assert files.has("d")
    assert files.has("d/1")
    assert not files.has("d/3")


def test_deleting_takes_files_trees_and_what_is_not_there(files):
    files.write("d/e/1", b"")
    files.write("d/2", b"")
    files.delete("d/2")
    files.delete("d/e")
    files.delete("d/e")
    assert not files.has("d/2")
    assert not files.has("d/e")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a\0b", "..\\x"])
def test_a_path_that_leaves_the_root_is_refused(files, path):
    for action in (files.read, files.has, files.list, files.delete, lambda p: files.write(p, b"")):
        with pytest.raises(StorageError, match="leaves the run directory"):
            action(path)


def test_a_missing_file_is_named(files):
    with pytest.raises(StorageError, match=r"round\.json: there is no such file"):
        files.read("round.json")


def test_the_run_folder_is_for_its_owner_only_and_its_parent_as_usual(tmp_path):
    LocalFiles(tmp_path / "runs" / "r").write("rounds/0001/x", b"")
    usual = tmp_path / "usual"
    usual.mkdir()
    assert (tmp_path / "runs").stat().st_mode == usual.stat().st_mode
    for folder in ("runs/r", "runs/r/rounds", "runs/r/rounds/0001"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, r"no space left \(5 bytes needed\)\nfree some space"),
        (errno.EDQUOT, r"no space left \(5 bytes needed\)"),
        (errno.EACCES, "permission denied.*\ngive this user access"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Input/output error.*\ncheck that the storage"),
    ],
)
def test_a_refused_write_says_what_to_do_and_leaves_the_old_file(tmp_path, monkeypatch, code, says):
    files = LocalFiles(tmp_path)
    files.write("x", b"old")

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(storage.os, "write", refuse)
    with pytest.raises(StorageError, match=says) as caught:
        files.write("x", b"12345")
    monkeypatch.undo()
    assert str(tmp_path / "x") in str(caught.value)
    assert str(caught.value).count("\n") <= 2
    assert files.read("x") == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_file_where_a_folder_is_needed_is_said(tmp_path):
    files = LocalFiles(tmp_path / "run")
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        files.write("rounds/0001/x", b"")


def test_short_writes_of_the_system_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(storage.os, "write", lambda fd, data: write(fd, data[:3]))
    LocalFiles(tmp_path).write("x", b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_write_is_synced_before_it_is_named_and_its_folder_after(tmp_path, monkeypatch):
    LocalFiles(tmp_path).write("x", b"")
    seen = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        storage.os,
        "fsync",
        lambda fd: seen.append("folder" if Path(f"/proc/self/fd/{fd}").is_dir() else "file") or fsync(fd),
    )
    monkeypatch.setattr(storage.os, "replace", lambda a, b: seen.append("rename") or replace(a, b))
    LocalFiles(tmp_path).write("x", b"1")
    assert seen == ["file", "rename", "folder"]


def test_the_sweep_takes_leftovers_of_the_dead_and_leaves_writes_under_way(tmp_path):
    files = LocalFiles(tmp_path)
    files.write("d/x", b"")
    dead, alive = tmp_path / "d" / f"{TEMPORARY}1-dead", tmp_path / "d" / f"{TEMPORARY}2-alive"
    dead.write_bytes(b"ha")
    descriptor = os.open(alive, os.O_CREAT | os.O_WRONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert files.list("d") == ["x"]
    assert files.sweep() == 1
    assert sorted(os.listdir(tmp_path / "d")) == [alive.name, "x"]
    os.close(descriptor)
    assert files.sweep() == 1


def test_deleting_a_link_leaves_what_it_points_to(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    files = LocalFiles(tmp_path / "run")
    files.write("x", b"")
    (tmp_path / "run" / "link").symlink_to(outside)
    files.delete("link")
    assert (outside / "precious").exists()


def test_an_object_store_is_given_one_put_and_no_rename(tmp_path):
    counting = Counted(pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem()))
    ObjectFiles(counting, "run", "x://run").write("a/b", b"data")
    assert counting.puts == 1
    assert (tmp_path / "run" / "a" / "b").read_bytes() == b"data"


class Replaced:
    """A file system on which an object is replaced by a longer one right after pyarrow has asked for its size."""

    def __init__(self, inner, times):
        self.inner, self.times = inner, times

    def open_input_file(self, path):
        if self.times:
            self.times -= 1
            return Shorter(self.inner.open_input_file(path))
        return self.inner.open_input_file(path)

    def get_file_info(self, path):
        return self.inner.get_file_info(path)


class Shorter:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def size(self):
        return self.file.size() - 1

    def read_at(self, count, offset):
        return self.file.read_at(count, offset)


def test_an_object_that_is_replaced_while_it_is_read_is_read_again_whole():
    files = objects()
    files.write("x", b"longer than before")
    files.filesystem = Replaced(files.filesystem, times=3)
    assert files.read("x") == b"longer than before"
    files.filesystem.times = storage.READS
    with pytest.raises(StorageError, match="was replaced 20 times while it was read"):
        files.read("x")


def test_names_and_passwords_of_uris_are_not_shown():
    text = "path: s3://me:secret@bucket/x@2?a=b\nother: gs://anonymous@bucket/y\nlocal: /home/me@work"
    assert without_keys(text) == "path: s3://bucket/x@2?a=b\nother: gs://bucket/y\nlocal: /home/me@work"


@pytest.mark.parametrize("word", ["NETWORK_CONNECTION", "SLOW_DOWN", "UNKNOWN (HTTP status 503)"])
def test_a_store_that_fails_for_now_is_told_from_one_that_refuses(word):
    with pytest.raises(StorageAwayError), explained("read", "s3://b/x"):
        raise OSError(f"AWS Error {word} during HeadObject operation")
    with pytest.raises(StorageError, match="give credentials that may") as caught, explained("read", "s3://b/x"):
        raise OSError("AWS Error ACCESS_DENIED during HeadObject operation")
    assert not isinstance(caught.value, StorageAwayError)
