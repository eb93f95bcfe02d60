"""Files behind a licence: the token goes to their host alone, and a refusal says how to be let in."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bgdata.errors import InputError
from bgdata.fetch.gated import fetch_gated
from bgdata.fetch.remote import RemoteFile
from bgdata.fetch.sources import SOURCES
from tests.bgdata.hostile_server import BLOCK, Content, Fault, HostileServer

CONTENT = Content(BLOCK + 321)
TOKEN = "hf_verysecret"
SAM3 = next(remote for remote in SOURCES["sam3"] if remote.name == "model.safetensors")


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer(CONTENT, etag='"v1"') as started:
        yield started


def remote_at(server: HostileServer) -> RemoteFile:
    size, sha256 = CONTENT.size, CONTENT.sha256()
    return replace(SAM3, url=f"{server.url}/facebook/sam3/model.safetensors", size=size, sha256=sha256)


def test_the_token_is_sent_where_a_gate_is(server: HostileServer, tmp_path: Path) -> None:
    remote = remote_at(server)
    path = fetch_gated(remote, tmp_path / "gated", gate=remote.gate, token=f"{TOKEN}\n")
    fetch_gated(remote, tmp_path / "open", gate=None, token=TOKEN)
    assert path.read_bytes() == CONTENT.bytes()
    assert server.header("authorization") == [f"Bearer {TOKEN}", None]


@pytest.mark.parametrize(
    ("token", "state"), [(None, "HF_TOKEN is not set"), (TOKEN, "the token in HF_TOKEN was not accepted")]
)
def test_a_refusal_is_one_sentence(server: HostileServer, tmp_path: Path, token: str | None, state: str) -> None:
    server.faults = [Fault(status=401)]
    remote = remote_at(server)
    with pytest.raises(InputError) as caught:
        fetch_gated(remote, tmp_path, gate=remote.gate, token=token)
    words = str(caught.value)
    assert TOKEN not in words
    assert words == (
        f"Hugging Face refuses {remote.url} ({state}): accept SAM 3's licence (Meta's SAM License, which "
        "limits its use) at https://huggingface.co/facebook/sam3, make a token with read "
        "access at https://huggingface.co/settings/tokens, and set the variable HF_TOKEN to it"
    )


def test_a_mirror_needs_no_token_and_is_asked_in_the_sources_folder(server: HostileServer, tmp_path: Path) -> None:
    remote = replace(remote_at(server), url=SAM3.url)
    fetch_gated(remote, tmp_path, gate=remote.gate, token=TOKEN, mirror=f"{server.url}/mirror")
    assert server.requests[0][0] == "/mirror/sam3/model.safetensors"
    assert server.header("authorization") == [None]


def test_other_troubles_are_told_as_they_are(server: HostileServer, tmp_path: Path) -> None:
    server.faults = [Fault(status=404), Fault(status=403)]
    remote = remote_at(server)
    with pytest.raises(InputError, match="is not there"):
        fetch_gated(remote, tmp_path, gate=remote.gate, token=TOKEN)
    with pytest.raises(InputError, match=r"may not be read .*accept its licence there"):
        fetch_gated(remote, tmp_path, gate=None, token=None)
