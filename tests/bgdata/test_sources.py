"""The table of remote files: every entry can be fetched, and says where its size and hash come from."""

import re
from dataclasses import replace
from typing import get_args
from urllib.parse import urlsplit

import pytest

from bgdata.fetch.segmenter_weights import SEGMENTER_WEIGHTS
from bgdata.fetch.sources import SOURCES, RemoteFile
from models.segmenters.settings import DetectorName, Sam3Name, SamName

FILES = [remote for files in SOURCES.values() for remote in files]
WEIGHTS = [
    *(f"sam_vit_{size}" for size in "blh"),
    "groundingdino_swint_ogc",
    "groundingdino_swinb_cogcoor",
    "bert_base_uncased",
    "sam2_1_hiera_tiny",
    "sam2_1_hiera_small",
    "sam3",
]


@pytest.mark.parametrize("remote", FILES, ids=lambda remote: remote.name)
def test_an_entry_is_whole(remote: RemoteFile) -> None:
    parts = urlsplit(remote.url)
    assert (parts.scheme, parts.query, parts.username) == ("https", "", None)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", remote.name)
    assert remote.size is None or remote.size > 0
    assert remote.sha256 is None or re.fullmatch("[0-9a-f]{64}", remote.sha256)
    assert remote.md5 is None or re.fullmatch("[0-9a-f]{32}", remote.md5)
    assert remote.licence
    assert remote.confirmed, "where size and hash come from, or why there are none"


SAM2 = [f"sam2_1_hiera_{size}" for size in ("tiny", "small", "base_plus", "large")]


@pytest.mark.parametrize("source", WEIGHTS)
def test_weights_are_never_loaded_unchecked(source: str) -> None:
    assert all(remote.size and remote.sha256 for remote in SOURCES[source])


def test_weights_that_transformers_runs_are_hashed_or_say_why_not() -> None:
    for source, files in SEGMENTER_WEIGHTS.items():
        assert {"config.json", "model.safetensors"} <= {remote.name for remote in files}
        for remote in files:
            assert remote.under == source
            pinned = re.search("/resolve/[0-9a-f]{40}/", remote.url)
            assert bool(pinned) == (source in SAM2 or source == "sam3")
            assert bool(pinned) or remote.confirmed.startswith("no public repository was found")
            assert remote.sha256 or remote.name == "config.json" or not pinned
            assert (remote.gate is not None) == (source == "sam3")


def test_every_segmenters_weights_have_a_source() -> None:
    assert set(get_args(DetectorName)) | set(get_args(SamName)) | set(get_args(Sam3Name)) <= SOURCES.keys()


def test_the_name_is_the_urls_so_that_a_mirror_of_the_publishers_files_serves() -> None:
    renamed = [remote.name for remote in FILES if not remote.url.endswith(f"/{remote.name}")]
    assert [name.partition("-bc")[0] for name in renamed] == ["imagenet-sample-images"]


def test_names_urls_and_hashes_are_unique() -> None:
    for values in (
        [(remote.under, remote.name) for remote in FILES],
        [remote.url for remote in FILES],
        [remote.sha256 for remote in FILES if remote.sha256],
        [remote.md5 for remote in FILES if remote.md5],
    ):
        assert len(set(values)) == len(values)


def test_what_changes_at_the_publisher_is_pinned_to_a_revision() -> None:
    for source in ("bert_base_uncased", "imagenet_sample_images", "sam3", *SAM2):
        assert all(re.search("/[0-9a-f]{40}[/.]", remote.url) for remote in SOURCES[source])


def test_the_names_of_sams_files_hold_their_md5() -> None:
    """The publisher's own checksum, short as it is: the table must not mix the three up."""
    for size, start in (("b", "01ec64"), ("l", "0b3195"), ("h", "4b8939")):
        (remote,) = SOURCES[f"sam_vit_{size}"]
        assert remote.name == f"sam_vit_{size}_{start}.pth"


def test_a_remote_file_is_a_value() -> None:
    remote = RemoteFile("a", "https://host/a")
    assert replace(remote) == remote
    assert (remote.size, remote.sha256, remote.md5, remote.licence, remote.confirmed) == (None, None, None, "", "")
