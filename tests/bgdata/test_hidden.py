from pathlib import PurePosixPath

import pytest

from bgdata.hidden import is_hidden


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store",
        "val/00_dog/._n1_1.JPEG",
        "val/.ipynb_checkpoints/n1_1-checkpoint.JPEG",
        "a/Thumbs.db",
        "a/thumbs.DB",
        "desktop.ini",
        "__MACOSX/release/val/n1_1.JPEG",
        "val/00_dog/@eaDir/n1_1.JPEG/thumb.jpg",
        "images\\.hidden\\a.jpg",
    ],
)
def test_hidden_and_system_files(path: str) -> None:
    assert is_hidden(path)
    assert is_hidden(PurePosixPath(path))


@pytest.mark.parametrize("path", ["a.JPEG", "./a.JPEG", "../a/b.JPEG", "thumbs.jpg", "a/b.c/d", "MACOSX/a.jpg", ""])
def test_all_else_is_somebodys(path: str) -> None:
    assert not is_hidden(path)
