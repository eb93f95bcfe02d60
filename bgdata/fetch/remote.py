"""What a remote file is: where it lies, and how it is known to be the right one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gate:
    """A licence that Hugging Face asks each user to accept: what it is called, and its page there."""

    licence: str
    page: str


@dataclass(frozen=True)
class RemoteFile:
    """A file that somebody else publishes.

    `name` is its name on disk; `size` is in bytes; `sha256` (or `md5` where the publisher gives only that) is in
    lower-case hex; `confirmed` says where size and hash come from. None or "" is what could not be confirmed.
    `under` is the folder that holds it at a mirror (of files that several sources name alike); `gate` is the licence to
    accept before anybody may read it.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    licence: str = ""
    confirmed: str = ""
    under: str = ""
    gate: Gate | None = None
