"""The talk with a server: one request along its redirects, and every answer or failure as words of ours."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from bgdata.errors import InputError
from bgdata.fetch.part import Part, shown

LONGEST_WAIT = 120.0
_REDIRECTS = 10
_CHUNK = 2**18
_AGAIN = "run again to go on from what is there"


class Interrupted(Exception):
    """A try that may go better the next time; `args[0]` says why it ended.

    `wait` is how long in seconds the server wants to be left alone; `reached` is whether there was a server at all.
    """

    def __init__(self, reason: str, *, wait: float = 0.0, reached: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.reached = reached


@contextmanager
def ask(
    session: requests.Session, part: Part, *, headers: Mapping[str, str], timeout: float
) -> Iterator[Iterator[bytes]]:
    """Request what the part lacks, and give the chunks that go to its end (none where it is whole).

    The part begins anew where the server sends the file from its start, or another range, or another file. `headers`
    stay with the first host; `timeout` is in seconds.

    Raises Interrupted where a later try may help, else InputError.
    """
    with _send(session, part, headers=dict(headers), timeout=timeout) as response:
        if response.status_code == 416:
            _check_end(part, response)
            yield iter(())
            return
        _check_status(response, part.url)
        if response.status_code == 206:
            _check_range(part, response)
        else:
            length = response.headers.get("content-length", "")
            total = int(length) if length.isdecimal() else None
            part.check_total(total)
            part.restart(_notes(response, total))
        yield _body(response, part)
    if part.total is not None and part.size < part.total:
        raise Interrupted(f"the server ended after {part.size} of {part.total} bytes; {_AGAIN}")


def _send(session: requests.Session, part: Part, *, headers: dict[str, str], timeout: float) -> requests.Response:
    # What is wanted are the file's own bytes, not an encoding that a server finds practical.
    wanted = {"Accept-Encoding": "identity"}
    if part.size:
        wanted["Range"] = f"bytes={part.size}-"
        if part.validator:
            wanted["If-Range"] = part.validator
    url = part.url
    for _ in range(_REDIRECTS):
        # A callable auth: requests would replace a given Authorization by one from ~/.netrc.
        auth = (lambda request: request) if headers else None
        with _in_words(url):
            response = session.get(
                url, headers=headers | wanted, auth=auth, stream=True, timeout=timeout, allow_redirects=False
            )
        if not response.is_redirect:
            return response
        response.close()
        target = urljoin(url, response.headers["location"])
        if urlsplit(target).scheme not in {"https", urlsplit(url).scheme}:
            raise InputError(f"{shown(url)} redirects to {shown(target)}, which is not https: try another mirror")
        if origin(target) != origin(url):
            headers = {}
        url = target
    raise InputError(f"{shown(part.url)} redirects more than {_REDIRECTS} times: try another mirror")


def _body(response: requests.Response, part: Part) -> Iterator[bytes]:
    while True:
        with _in_words(part.url):
            # Not `read`: it throws away what had arrived of a chunk when the connection breaks.
            chunk = response.raw.read1(_CHUNK, decode_content=False)
        if not chunk:
            return
        if part.size == 0 and chunk.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
            raise InputError(_page(part.url))
        yield chunk


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        raise Interrupted(f"the server answers {status}; try again later", wait=_retry_after(response))
    if status in (401, 403):
        raise InputError(
            f"{shown(url)} may not be read (the server answers {status}): accept its licence there and give a token "
            "that may read it, or set a mirror"
        )
    if status not in (200, 206):
        raise InputError(f"{shown(url)} is not there (the server answers {status}): check the URL, or set a mirror")
    if response.headers.get("content-type", "").startswith("text/html"):
        raise InputError(_page(url))


def _page(url: str) -> str:
    return (
        f"{shown(url)} answers with a web page in place of the file (a login, a licence to accept, or a network that "
        "asks for one): open it in a browser, or set another mirror"
    )


def _check_range(part: Part, response: requests.Response) -> None:
    """Let a partial answer through only where it goes on exactly where the part ends, in the same file."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", "").strip())
    if not part.belongs_to(_notes(response, None)):
        part.restart()
        raise Interrupted("the file changed at the server while it was fetched")
    if not found or int(found[1]) != part.size:
        part.restart()
        raise Interrupted("the server sent another range than it was asked for")
    part.check_total(None if found[2] == "*" else int(found[2]))


def _check_end(part: Part, response: requests.Response) -> None:
    """Take a 416 for the end of the file where the part is as long as the server's file; else begin anew."""
    if not part.size or response.headers.get("content-range", "").strip() != f"bytes */{part.size}":
        part.restart()
        raise Interrupted("the server has less of the file than was fetched before")


def _notes(response: requests.Response, total: int | None) -> dict[str, Any]:
    return {key: response.headers.get(key) for key in ("etag", "last-modified")} | {"total": total}


def _retry_after(response: requests.Response) -> float:
    """The seconds that the server asks to wait, capped; it may name them, or a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), LONGEST_WAIT)
    try:
        wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
    return min(max(wait, 0.0), LONGEST_WAIT)


@contextmanager
def _in_words(url: str) -> Iterator[None]:
    """Turn the network's errors into ours: theirs repeat URLs with all that is secret in them."""
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        text, kinds, host = str(error), _causes(error), urlsplit(url).hostname
        if "CERTIFICATE_VERIFY_FAILED" in text:
            raise InputError(
                f"the certificate of {host} is not trusted: set REQUESTS_CA_BUNDLE to your network's, or another mirror"
            ) from None
        if NewConnectionError in kinds or NameResolutionError in kinds or isinstance(error, requests.ConnectTimeout):
            what = "its name is not known" if NameResolutionError in kinds else "it takes no connection"
            raise Interrupted(
                f"{host} cannot be reached ({what}): check the network, or set a mirror (https:// or file://)",
                reached=False,
            ) from None
        if isinstance(error, ValueError):  # requests' word for a URL that is none
            raise InputError(f"{shown(url)} is not a URL that can be fetched: check the mirror") from None
        what = "said nothing for too long" if "timed out" in text else "broke the connection"
        raise Interrupted(f"{host} {what}; {_AGAIN}") from None


def _causes(error: BaseException) -> set[type[BaseException]]:
    """The types of an error and of those inside it (urllib3 keeps a `reason`, requests its first argument)."""
    found: set[type[BaseException]] = set()
    inner: object = error
    while isinstance(inner, BaseException) and type(inner) not in found:
        found.add(type(inner))
        inner = getattr(inner, "reason", None) or next(iter(inner.args), None)
    return found


def origin(url: str) -> tuple[str, str]:
    """The scheme and host (with port) of a URL: what a secret may be sent to."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()
