"""Laws of atomic writes: everything or nothing, old content kept, permissions of the umask, readable errors."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import crash_points
from tsfm import files
from tsfm.files import (
    atomic_file,
    atomic_folder,
    cache_folder,
    check_folder,
    draft_path,
    explain_write_errors,
    folders,
    move_folder,
    recover_folder,
    write_bytes,
    write_error,
    write_text,
)


@pytest.fixture(params=[0o022, 0o077], ids=["022", "077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def fill(folder: Path, text: str) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "a.txt").write_text(text)


def content(path: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too."""
    return {str(file.relative_to(path)): file.read_text() for file in sorted(path.rglob("*")) if file.is_file()}


def failing_call(function: Callable, *, at: int, error: BaseException) -> Callable:
    """The function, which raises the error at its `at`-th call."""
    calls = iter(range(1, 1000))

    def wrapped(*args, **kwargs):
        if next(calls) == at:
            raise error
        return function(*args, **kwargs)

    return wrapped


def test_a_file_is_written_with_the_folders_above_and_replaces_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "x.txt", "old")
    write_text(tmp_path / "a" / "b" / "x.txt", "gr\u00fcn")
    write_bytes(tmp_path / "y.bin", b"\x00\x01")
    assert (tmp_path / "a" / "b" / "x.txt").read_bytes() == "gr\u00fcn".encode()
    assert (tmp_path / "y.bin").read_bytes() == b"\x00\x01"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "x.txt", "y.bin"]


def test_permissions_are_those_of_the_umask(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "x.txt", "a")
    write_text(tmp_path / "x.txt", "b")
    with atomic_folder(tmp_path / "folder") as draft:
        fill(draft, "a")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {
        "x.txt": 0o666 & ~umask,
        "folder": 0o777 & ~umask,
        "deep": 0o777 & ~umask,
        "a.txt": 0o666 & ~umask,
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_files_of_a_library_that_makes_them_private_get_the_permissions_of_the_umask(
    tmp_path: Path, umask: int
) -> None:
    def write_private(path: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        os.close(descriptor)
        os.replace(name, path)

    with atomic_file(tmp_path / "x.bin") as draft:
        write_private(draft)
    with atomic_folder(tmp_path / "folder") as draft:
        write_private(draft / "y.bin")
        (draft / "run.sh").touch()
        (draft / "run.sh").chmod(0o711)
        Path(tempfile.mkdtemp(dir=draft)).rename(draft / "deep")
        write_private(draft / "deep" / "z.bin")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    file, folder = 0o666 & ~umask, 0o777 & ~umask
    assert modes == {"x.bin": file, "y.bin": file, "z.bin": file, "folder": folder, "deep": folder, "run.sh": 0o711}


def test_a_draft_is_hidden_and_keeps_the_suffix(tmp_path: Path) -> None:
    """Writers such as matplotlib choose the format by the suffix."""
    with atomic_file(tmp_path / "x.png") as first, atomic_file(tmp_path / "x.png") as second:
        assert first != second
        for draft in (first, second):
            assert (draft.parent, draft.name[0], draft.suffix) == (tmp_path, ".", ".png")
            draft.write_text("a")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), OSError(errno.ENOSPC, "No space left")])
def test_an_interrupted_write_of_a_file_leaves_the_old_one(tmp_path: Path, error: BaseException) -> None:
    def interrupted(path: Path) -> None:
        with atomic_file(path) as draft:
            draft.write_text("half")
            raise error

    write_text(tmp_path / "x.txt", "old")
    for name in ("x.txt", "new.txt"):
        with pytest.raises(type(error)):
            interrupted(tmp_path / name)
    assert content(tmp_path) == {"x.txt": "old"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_file_is_unchanged_where_the_last_step_of_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    write_text(tmp_path / "x.txt", "old")
    monkeypatch.setattr(os, call, failing_call(getattr(os, call), at=1, error=error))
    with pytest.raises(type(error)):
        write_text(tmp_path / "x.txt", "new")
    assert content(tmp_path) == {"x.txt": "old"}


@pytest.mark.parametrize("at", [0, 1, 2], ids=["in the block", "first rename", "second rename"])
def test_an_interrupted_write_of_a_folder_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    def write(text: str, *, interrupted: bool = False) -> None:
        with atomic_folder(tmp_path / "folder") as draft:
            fill(draft, text)
            if interrupted:
                raise KeyboardInterrupt

    write("old")
    monkeypatch.setattr(folders, "exchange_names", lambda *names: False)  # as on systems that cannot exchange names
    monkeypatch.setattr(os, "rename", failing_call(os.rename, at=at, error=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write("new", interrupted=at == 0)
    assert content(tmp_path) == {"folder/deep/a.txt": "old"}
    monkeypatch.undo()
    write("new")
    assert content(tmp_path) == {"folder/deep/a.txt": "new"}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_that_is_replaced_is_there_at_every_moment(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed before any rename or removal leaves the old folder or the new one to a reader."""
    if not can_exchange:
        monkeypatch.setattr(folders, "exchange_names", lambda *names: False)
    path = tmp_path / "root" / "folder"

    def write(text: str) -> None:
        with atomic_folder(path) as draft:
            fill(draft, text)

    write("old")
    events = crash_points.run(lambda: write("new"), path.parent)
    assert events is not None
    seen = set()
    for number in range(len(events)):
        shutil.rmtree(path.parent)
        write("old")
        assert crash_points.run(lambda: write("new"), path.parent, kill_at=number) is None
        assert can_exchange <= path.is_dir()
        recover_folder(path)
        seen.add((path / "deep" / "a.txt").read_text())
        write("new")
        assert content(path) == {"deep/a.txt": "new"}
    assert seen == {"old", "new"}


def test_drafts_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    """Not younger ones, not other hidden files, and not folders in which a process still writes."""
    long_ago = time.time() - 2 * 86_400
    old, young, writing = (draft_path(tmp_path / f"{name}.csv") for name in ("old", "young", "writing"))
    folder = draft_path(tmp_path / "folder")
    for made in (folder, writing):
        made.mkdir()
        (made / "part").write_text("a")
    for file in (old, young, tmp_path / ".other-0123abcd.csv", tmp_path / ".x.tsfm-notours.csv"):
        file.write_text("a")
        if file != young:
            os.utime(file, (long_ago, long_ago))
    for path in (folder / "part", folder, writing):
        os.utime(path, (long_ago, long_ago))
    write_text(tmp_path / "new.txt", "a")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {young.name, writing.name, ".other-0123abcd.csv", ".x.tsfm-notours.csv", "new.txt"}


def test_content_is_flushed_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace", "rename"):
        function = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, f=function, n=name: (calls.append(n), f(*args))[1])
    write_text(tmp_path / "x.txt", "a")
    assert calls[:2] == ["fsync", "replace"]
    calls.clear()
    with atomic_folder(tmp_path / "folder") as draft:
        fill(draft, "a")
    assert calls.index("rename") >= 2  # after a.txt and its folders


def test_a_folder_is_moved_to_an_empty_or_absent_one_and_replaces_another_only_if_allowed(tmp_path: Path) -> None:
    for name in ("absent", "empty", "full"):
        draft, path = tmp_path / f"draft of {name}", tmp_path / name
        draft.mkdir()
        fill(draft, "new")
        if name != "absent":
            path.mkdir()
        if name == "full":
            (path / "old.txt").write_text("old")
            with pytest.raises(FileExistsError, match="full exists"):
                move_folder(draft, path, replace=False)
            assert content(path) == {"old.txt": "old"}
        move_folder(draft, path, replace=name == "full")
        assert content(path) == {"deep/a.txt": "new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["absent", "empty", "full"]


def test_a_folder_does_not_replace_a_file(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "x") as draft:
            fill(draft, "new")

    (tmp_path / "x").write_text("old")
    with pytest.raises(FileExistsError, match="x is a file; name a folder"):
        write()
    assert content(tmp_path) == {"x": "old"}


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "(the disk is full); free some space there, or wait"),
        (errno.EDQUOT, "(the disk is full); free some space there, or wait"),
        (errno.EACCES, "(Permission denied); make it writable, or wait"),
        (errno.EROFS, "(Read-only file system); make it writable, or wait"),
        (errno.ENOTDIR, "(a file has the name of a folder that is needed); move the file, or wait"),
        (errno.EIO, "(Input/output error); check that path, or wait"),
    ],
)
def test_an_error_says_what_cannot_be_written_why_and_what_to_do(number: int, message: str) -> None:
    """The kind of the error stays; in nested writes the outer target and hint are named, with the inner reason."""

    def write() -> None:
        with explain_write_errors("store x", hint="or wait"), atomic_file("x/part"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(type(OSError(number, "")), match=re.escape(f"cannot write store x {message}")) as caught:
        write()
    assert caught.value.errno == number


def test_an_error_without_a_number_keeps_its_text() -> None:
    assert "cannot write x (no quota); check that path" in str(write_error("x", OSError("no quota")))
    assert "cannot write x (the disk is full)" in str(write_error("x", OSError("[28] No space left on device")))


def test_a_write_without_permission_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere, so the error is simulated
    with pytest.raises(PermissionError, match=re.escape(f"cannot write {tmp_path / 'x.txt'} (Permission denied)")):
        write_text(tmp_path / "x.txt", "a")


def test_a_path_below_a_file_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a")
    check_folder(tmp_path / "new" / "folder")
    for path in (tmp_path / "x", tmp_path / "x" / "y" / "z"):
        with pytest.raises(NotADirectoryError, match="cannot be a folder: x is a file"):
            check_folder(path)


def test_the_cache_folder_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("TSFM_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "tsfm"
    assert files.HINT in str(write_error("x", OSError(errno.EIO, "")))
