"""Downloads over a server that misbehaves: what arrives is whole and right, or one sentence says why it did not."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import file_digest, md5
from pathlib import Path

import pytest

from bgdata.errors import InputError
from bgdata.fetch.download import fetch_file
from bgdata.fetch.http import LONGEST_WAIT
from bgdata.fetch.part import Part
from bgdata.fetch.sources import RemoteFile
from tests.bgdata.hostile_server import BLOCK, Content, Fault, HostileServer

CONTENT = Content(5 * BLOCK + 321)
OTHER = Content(5 * BLOCK + 321, seed=1)
HALF = Fault(drop_after=CONTENT.size // 2)
TOKEN = "hf_verysecret"
Start = Callable[..., HostileServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers that end with the test."""
    servers: list[HostileServer] = []

    def start(*faults: Fault, content: Content = CONTENT, etag: str | None = '"v1"') -> HostileServer:
        servers.append(HostileServer(content, *faults, etag=etag))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def remote_at(server: HostileServer, content: Content = CONTENT, **changes: object) -> RemoteFile:
    remote = RemoteFile("w.pth", f"{server.url}/a/w.pth", size=content.size, sha256=content.sha256())
    return replace(remote, **changes)


def fetch(remote: RemoteFile, folder: Path, **changes: object) -> tuple[Path, list[float]]:
    """Fetch with waits that are noted and not waited."""
    waits: list[float] = []
    path = fetch_file(remote, folder, sleep=waits.append, **{"delays": (1.0, 2.0, 4.0), "timeout": 5.0} | changes)
    return path, waits


def refused(remote: RemoteFile, folder: Path, words: str, **changes: object) -> str:
    with pytest.raises(InputError, match=words) as caught:
        fetch(remote, folder, **changes)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None, "a cause's text may repeat what is secret"
    return str(caught.value)


def test_a_file_arrives_whole_and_is_never_fetched_twice(start: Start, tmp_path: Path) -> None:
    server = start()
    for _ in range(2):
        path, waits = fetch(remote_at(server), tmp_path / "weights")
        assert path.read_bytes() == CONTENT.bytes()
    assert (len(server.requests), server.sent, waits) == (1, CONTENT.size, [])
    assert [found.name for found in path.parent.iterdir()] == ["w.pth"], "nothing is left beside it"


def test_ten_breaks_of_a_300_mb_file_cost_not_one_byte(start: Start, tmp_path: Path) -> None:
    content = Content(300_000_000)
    server = start(*[Fault(drop_after=23_000_000 + 7 * turn) for turn in range(10)], content=content)
    path, waits = fetch(remote_at(server, content), tmp_path)
    with path.open("rb") as file:
        assert file_digest(file, "sha256").hexdigest() == content.sha256()
    path.unlink()  # pytest keeps the folders of its last runs
    assert len(server.requests) == 11
    assert waits == [1.0] * 10, "each try brought something new, so the waits never grow"
    assert server.sent == content.size, "not one byte was sent twice"


def test_a_reset_connection_is_taken_up_again(start: Start, tmp_path: Path) -> None:
    server = start(*[Fault(drop_after=2 * BLOCK, reset=True)] * 2)
    path, _ = fetch(remote_at(server), tmp_path)
    assert path.read_bytes() == CONTENT.bytes()
    assert len(server.requests) == 3


def test_a_killed_download_goes_on_where_it_was(start: Start, tmp_path: Path) -> None:
    server = start(Fault(stall_after=3 * BLOCK))
    remote = remote_at(server)
    code = (
        "import sys; from pathlib import Path; from bgdata.fetch.download import fetch_file\n"
        "from bgdata.fetch.sources import RemoteFile\n"
        f"fetch_file({remote!r}, Path(sys.argv[1]))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path], stderr=subprocess.DEVNULL)
    part = tmp_path / "w.pth.part"
    try:
        until = time.monotonic() + 20
        while not (part.exists() and part.stat().st_size >= BLOCK) and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    kept = part.stat().st_size
    assert 0 < kept < CONTENT.size
    path, _ = fetch(remote, tmp_path)
    assert path.read_bytes() == CONTENT.bytes()
    assert server.header("range") == [None, f"bytes={kept}-"]
    assert server.header("if-range") == [None, '"v1"']


@pytest.mark.parametrize(
    "fault",
    [
        Fault(ignore_range=True),
        Fault(skip=5),
        Fault(without=("Content-Range",)),
        Fault(headers={"Content-Range": "bytes nonsense"}),
        Fault(status=416, headers={"Content-Range": f"bytes */{CONTENT.size}"}),
        Fault(status=416),
    ],
    ids=["ignores range", "another range", "no content-range", "nonsense", "416 too early", "416 alone"],
)
@pytest.mark.parametrize("sha", [CONTENT.sha256(), None], ids=["hash", "no hash"])
def test_a_server_bad_at_ranges_costs_a_new_start_and_no_stitch(
    start: Start, tmp_path: Path, fault: Fault, sha: str | None
) -> None:
    server = start(HALF, fault)
    path, _ = fetch(remote_at(server, sha256=sha), tmp_path)
    assert path.read_bytes() == CONTENT.bytes()
    assert server.header("range")[1] == f"bytes={CONTENT.size // 2}-"


@pytest.mark.parametrize("obeys", [True, False], ids=["obeys if-range", "ignores if-range"])
@pytest.mark.parametrize("sha", [OTHER.sha256(), None], ids=["hash", "no hash"])
def test_a_file_that_changed_meanwhile_is_not_stitched(
    start: Start, tmp_path: Path, obeys: bool, sha: str | None
) -> None:
    server = start(HALF, Fault(ignore_if_range=not obeys))

    def change(_: float) -> None:
        server.content, server.etag = OTHER, '"v2"'

    path = fetch_file(remote_at(server, OTHER, sha256=sha), tmp_path, sleep=change)
    assert path.read_bytes() == OTHER.bytes()


def test_without_hash_and_validator_every_try_begins_anew(start: Start, tmp_path: Path) -> None:
    server = start(HALF, etag=None)
    path, _ = fetch(remote_at(server, size=None, sha256=None), tmp_path)
    assert path.read_bytes() == CONTENT.bytes()
    assert server.header("range") == [None, None]


def test_a_weak_etag_is_no_validator(start: Start, tmp_path: Path) -> None:
    server = start(HALF, etag='W/"v1"')
    path, _ = fetch(remote_at(server), tmp_path)
    assert path.read_bytes() == CONTENT.bytes()
    assert server.header("range")[1], "the hash vouches"
    assert server.header("if-range") == [None, None]


def test_another_mirror_goes_on_with_the_part_where_the_hash_vouches(start: Start, tmp_path: Path) -> None:
    first, second = start(HALF), start(etag='"other"')
    refused(remote_at(first), tmp_path, "broke the connection; run again to go on", delays=())
    path, _ = fetch(remote_at(first), tmp_path, mirror=f"{second.url}/mirror")
    assert path.read_bytes() == CONTENT.bytes()
    assert (second.requests[0][0], second.sent) == ("/mirror/w.pth", CONTENT.size - CONTENT.size // 2)


def test_a_whole_part_is_finished_without_a_request(start: Start, tmp_path: Path) -> None:
    server = start()
    (tmp_path / "w.pth.part").write_bytes(CONTENT.bytes())
    path, _ = fetch(remote_at(server), tmp_path)
    assert (path.read_bytes(), server.requests) == (CONTENT.bytes(), [])


def test_a_whole_part_of_unknown_size_ends_with_416(start: Start, tmp_path: Path) -> None:
    server = start()
    (tmp_path / "w.pth.part").write_bytes(CONTENT.bytes())
    path, _ = fetch(remote_at(server, size=None), tmp_path)
    assert (path.read_bytes(), server.sent) == (CONTENT.bytes(), 0)


@pytest.mark.parametrize("size", [CONTENT.size, None], ids=["size known", "size unknown"])
@pytest.mark.parametrize("junk", [b"x" * 1000, b"x" * (CONTENT.size + 1)], ids=["short", "too long"])
def test_a_part_of_something_else_costs_one_new_start(
    start: Start, tmp_path: Path, size: int | None, junk: bytes
) -> None:
    server = start()
    (tmp_path / "w.pth.part").write_bytes(junk)
    path, _ = fetch(remote_at(server, size=size), tmp_path)
    assert path.read_bytes() == CONTENT.bytes()


def test_a_length_that_is_too_large_is_survived(start: Start, tmp_path: Path) -> None:
    server = start(Fault(headers={"Content-Length": str(CONTENT.size + 100)}))
    path, _ = fetch(remote_at(server, size=None), tmp_path)
    assert (path.read_bytes(), server.sent) == (CONTENT.bytes(), CONTENT.size)


@pytest.mark.parametrize("claimed", [CONTENT.size + 100, 100])
def test_a_length_that_is_not_the_expected_one_is_refused(start: Start, tmp_path: Path, claimed: int) -> None:
    server = start(Fault(headers={"Content-Length": str(claimed)}))
    refused(remote_at(server), tmp_path, f"has {claimed} bytes, expected {CONTENT.size}: the publisher has changed it")
    assert len(server.requests) == 1


def test_a_length_that_is_too_small_is_found_by_the_hash(start: Start, tmp_path: Path) -> None:
    server = start(Fault(headers={"Content-Length": "100"}))
    refused(remote_at(server, size=None), tmp_path, "its sha256 is [0-9a-f]{64}, expected [0-9a-f]{64}")


@pytest.mark.parametrize("drop", [None, 2 * BLOCK])
def test_chunked_answers_arrive_and_are_retried_when_cut(start: Start, tmp_path: Path, drop: int | None) -> None:
    server = start(Fault(chunked=True, drop_after=drop))
    path, _ = fetch(remote_at(server, size=None, sha256=None), tmp_path)
    assert path.read_bytes() == CONTENT.bytes()


def test_more_bytes_than_expected_are_not_taken(start: Start, tmp_path: Path) -> None:
    server = start(Fault(chunked=True))
    refused(remote_at(server, size=BLOCK), tmp_path, f"sends more than the expected {BLOCK} bytes")


def test_a_wrong_hash_is_refused_and_nothing_is_kept(start: Start, tmp_path: Path) -> None:
    server = start(content=OTHER)
    message = refused(remote_at(server), tmp_path, "is not the file that was expected")
    assert f"its sha256 is {OTHER.sha256()}, expected {CONTENT.sha256()}" in message
    assert len(server.requests) == 1, "what came in one piece is not fetched again"
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth.lock"]


def test_md5_is_checked_where_nothing_better_is_known(start: Start, tmp_path: Path) -> None:
    server = start()
    right = md5(CONTENT.bytes(), usedforsecurity=False).hexdigest()
    fetch(remote_at(server, sha256=None, md5=right), tmp_path / "right")
    refused(remote_at(server, sha256=None, md5="0" * 32), tmp_path / "wrong", f"its md5 is {right}, expected 0{{32}}")


def test_a_finished_file_that_is_wrong_is_moved_aside(start: Start, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"mine")
    path, _ = fetch(remote_at(start()), tmp_path)
    assert (path.read_bytes(), (tmp_path / "w.pth.wrong").read_bytes()) == (CONTENT.bytes(), b"mine")


@pytest.mark.parametrize("status", [404, 410, 400, 304])
def test_what_is_not_there_is_asked_for_once(start: Start, tmp_path: Path, status: int) -> None:
    server = start(*[Fault(status=status)] * 5)
    refused(remote_at(server), tmp_path, rf"/a/w\.pth is not there \(the server answers {status}\): check the URL")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_closed_door_names_licence_and_token(start: Start, tmp_path: Path, status: int) -> None:
    server = start(Fault(status=status))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    refused(remote_at(server), tmp_path, f"{status}.*accept its licence there and give a token", headers=headers)
    assert server.header("authorization") == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_with_growing_waits(start: Start, tmp_path: Path, status: int) -> None:
    server = start(*[Fault(status=status)] * 3)
    path, waits = fetch(remote_at(server), tmp_path)
    assert (path.read_bytes(), waits) == (CONTENT.bytes(), [1.0, 2.0, 4.0])
    server.faults = [Fault(status=status)] * 9
    path.unlink()
    refused(remote_at(server), tmp_path, f"could not be fetched: the server answers {status}; try again later")
    assert len(server.requests) == 4 + 4


@pytest.mark.parametrize(
    ("said", "wait"),
    [("9", 9.0), ("99999", LONGEST_WAIT), ("Fri, 31 Dec 2999 23:59:59 GMT", LONGEST_WAIT), ("soon", 1.0)],
)
def test_retry_after_is_honoured_up_to_a_cap(start: Start, tmp_path: Path, said: str, wait: float) -> None:
    _, waits = fetch(remote_at(start(Fault(status=503, headers={"Retry-After": said}))), tmp_path)
    assert waits == [wait]


def test_silence_ends_with_a_retry(start: Start, tmp_path: Path) -> None:
    server = start(Fault(stall_after=2 * BLOCK))
    path, waits = fetch(remote_at(server), tmp_path, timeout=0.2)
    assert (path.read_bytes(), waits, server.sent) == (CONTENT.bytes(), [1.0], CONTENT.size)
    server.faults = [Fault(stall_after=0)]
    path.unlink()
    refused(remote_at(server), tmp_path, "127.0.0.1 said nothing for too long", timeout=0.2, delays=())


def test_a_redirect_to_another_host_loses_the_token(start: Start, tmp_path: Path) -> None:
    store = start()
    hub = start(
        Fault(status=302, headers={"Location": "/moved"}),
        Fault(status=307, headers={"Location": f"{store.url}/w?signature={TOKEN}"}),
    )
    path, _ = fetch(remote_at(hub), tmp_path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert path.read_bytes() == CONTENT.bytes()
    assert hub.header("authorization") == [f"Bearer {TOKEN}"] * 2, "the same host may see it"
    assert store.header("authorization") == [None]


def test_the_token_is_not_shown_when_a_signed_address_fails(start: Start, tmp_path: Path) -> None:
    secret = f"http://127.0.0.1:{closed_port()}/w?signature={TOKEN}"
    hub = start(*[Fault(status=302, headers={"Location": secret})] * 9)
    refused(remote_at(hub), tmp_path, "127.0.0.1 cannot be reached")
    refused(remote_at(start(*[Fault(status=302, headers={"Location": "/a"})] * 99)), tmp_path, "more than 10 times")


def test_a_redirect_to_something_else_than_http_is_refused(start: Start, tmp_path: Path) -> None:
    server = start(Fault(status=302, headers={"Location": "ftp://host/file"}))
    refused(remote_at(server), tmp_path, "redirects to ftp://host/file, which is not https")


def test_netrc_does_not_replace_the_token(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server = start()
    fetch(remote_at(server), tmp_path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert server.header("authorization") == [f"Bearer {TOKEN}"]


def test_a_mirror_replaces_all_but_the_name_and_never_sees_the_token(start: Start, tmp_path: Path) -> None:
    server = start()
    remote = replace(remote_at(server), url="https://publisher.invalid/a/b/w.pth?download=1")
    mirror = server.url.replace("//", "//user:password@") + "/x/"
    fetch(remote, tmp_path, mirror=mirror, headers={"Authorization": f"Bearer {TOKEN}"})
    assert server.requests[0][0] == "/x/w.pth"
    assert server.header("authorization") == ["Basic dXNlcjpwYXNzd29yZA=="], "the mirror's own"


def test_a_mirrors_password_is_not_shown(start: Start, tmp_path: Path) -> None:
    mirror = start(Fault(status=404)).url.replace("//", f"//user:{TOKEN}@")
    refused(RemoteFile("w.pth", "https://publisher.invalid/w.pth"), tmp_path, "http://127.0.0.1:", mirror=mirror)


@pytest.mark.parametrize("mirror", ["/mnt/weights", "s3://bucket/x", "https://", "https://host/x?y=1", ""])
def test_a_mirror_that_is_no_base_url_is_refused(tmp_path: Path, mirror: str) -> None:
    refused(RemoteFile("w.pth", "https://a.invalid/w.pth"), tmp_path, "no base URL.*write https://host/", mirror=mirror)


@pytest.mark.parametrize("name", ["../w.pth", "a/w.pth", "/w.pth", "..", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    refused(RemoteFile(name, "https://a.invalid/w.pth"), tmp_path, "expected one without folders")


def test_a_token_that_cannot_be_sent_is_not_shown(tmp_path: Path) -> None:
    remote = RemoteFile("w.pth", "https://a.invalid/w.pth")
    for bad in (f"Bearer {TOKEN}\n", f"Bearer {TOKEN}\u2026"):
        refused(remote, tmp_path, "the header Authorization holds a line break", headers={"Authorization": bad})


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def test_a_machine_without_network_is_told_of_mirrors_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    remote = RemoteFile("w.pth", f"http://127.0.0.1:{closed_port()}/w.pth")
    with pytest.raises(InputError, match=r"127.0.0.1 cannot be reached \(it takes no connection\).*set a mirror"):
        fetch_file(remote, tmp_path, sleep=waits.append)
    assert waits == [1.0, 2.0]

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    words = r"host.invalid cannot be reached \(its name is not known\).*set a mirror"
    refused(RemoteFile("w.pth", "https://host.invalid/w.pth"), tmp_path, words)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(body=b"\n <!DOCTYPE html><p>Log in"),
        Fault(body=b"Log in", headers={"Content-Type": "text/html; charset=utf-8"}),
    ],
)
def test_a_web_page_is_not_taken_for_the_file(start: Start, tmp_path: Path, fault: Fault) -> None:
    remote = remote_at(start(fault), size=None, sha256=None)
    refused(remote, tmp_path, "answers with a web page in place of the file")
    assert not (tmp_path / "w.pth").exists()


def test_a_full_disk_passes_through(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Part, "_count", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(remote_at(start()), tmp_path)


def test_two_at_once_fetch_once(start: Start, tmp_path: Path) -> None:
    server = start(Fault(drop_after=BLOCK))
    failures: list[BaseException] = []

    def one() -> None:
        try:
            fetch_file(remote_at(server), tmp_path, delays=(0.2,))
        except BaseException as error:  # reported below: pytest does not see a thread's errors
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ((tmp_path / "w.pth").read_bytes(), server.sent) == (CONTENT.bytes(), CONTENT.size)


def test_a_folder_is_a_mirror(tmp_path: Path) -> None:
    source = tmp_path / "a folder"
    source.mkdir()
    (source / "w.pth").write_bytes(CONTENT.bytes())
    remote = RemoteFile("w.pth", "https://a.invalid/w.pth", CONTENT.size, CONTENT.sha256())
    path, _ = fetch(remote, tmp_path / "weights", mirror=source.as_uri())
    assert path.read_bytes() == CONTENT.bytes()
    assert [found.name for found in path.parent.iterdir()] == ["w.pth"]
    path, _ = fetch(RemoteFile("w.pth", (source / "w.pth").as_uri()), tmp_path / "again")
    assert path.read_bytes() == CONTENT.bytes()

    (source / "w.pth").write_bytes(OTHER.bytes())
    refused(remote, tmp_path / "other", "its sha256 is", mirror=f"{source.as_uri()}/")
    (source / "w.pth").write_bytes(b"short")
    refused(remote, tmp_path / "other", f"has 5 bytes, expected {CONTENT.size}", mirror=source.as_uri())
    (source / "w.pth").unlink()
    refused(remote, tmp_path / "other", r"a folder/w.pth is not a file: put w.pth there", mirror=source.as_uri())
