"""A real HTTP server on this machine that misbehaves as it is told, and counts what it sends."""

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from types import TracebackType

BLOCK = 2**16


class Content:
    """A file of any size, generated as it is read: numbered blocks, so that no stitch goes unseen."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        self._block = Random(seed).randbytes(BLOCK - 8)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        stop = self.size if stop is None else min(stop, self.size)
        while start < stop:
            number, offset = divmod(start, BLOCK)
            block = number.to_bytes(8, "big") + self._block
            piece = block[offset : min(BLOCK, offset + stop - start)]
            yield piece
            start += len(piece)

    def bytes(self) -> bytes:
        return b"".join(self.read())

    def sha256(self) -> str:
        digest = sha256()
        for piece in self.read():
            digest.update(piece)
        return digest.hexdigest()


@dataclass(frozen=True)
class Fault:
    """How one answer departs from a good one; the defaults are a good one."""

    status: int | None = None  # this status, without the file
    headers: Mapping[str, str] = field(default_factory=dict)  # added, or in place of the right ones
    without: tuple[str, ...] = ()  # headers that are left out
    drop_after: int | None = None  # the connection ends after so many bytes of the body
    reset: bool = False  # and it ends rudely: what is under way is lost
    stall_after: int | None = None  # silence after so many bytes of the body
    ignore_range: bool = False
    ignore_if_range: bool = False
    skip: int = 0  # the range begins so many bytes late, and the header says so
    body: bytes | None = None
    chunked: bool = False


class HostileServer:
    """Serves one file under every path. `faults` are used up, one a request; then it behaves."""

    def __init__(self, content: Content, *faults: Fault, etag: str | None = '"v1"') -> None:
        self.content = content
        self.faults = list(faults)
        self.etag = etag
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.sent = 0
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hostile = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def header(self, name: str) -> list[str | None]:
        """What each request said in a header."""
        return [headers.get(name.lower()) for _, headers in self.requests]

    def __enter__(self) -> "HostileServer":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    hostile: HostileServer

    def handle_error(self, request: object, client_address: object) -> None:  # a client that hangs up is no news
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        hostile = self.server.hostile
        hostile.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        fault = hostile.faults.pop(0) if hostile.faults else Fault()
        size = hostile.content.size
        start = self._range_start(fault)
        if fault.status is not None or fault.body is not None:
            return self._answer(fault, fault.status or 200, {}, iter([fault.body or b""]), len(fault.body or b""))
        if start is not None and start >= size:
            return self._answer(fault, 416, {"Content-Range": f"bytes */{size}"}, iter(()), 0)
        first = (start or 0) + fault.skip
        span = {} if start is None else {"Content-Range": f"bytes {first}-{size - 1}/{size}"}
        validator = {"ETag": hostile.etag} if hostile.etag else {}
        self._answer(fault, 200 if start is None else 206, span | validator, hostile.content.read(first), size - first)

    def _range_start(self, fault: Fault) -> int | None:
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked is None or fault.ignore_range:
            return None
        if condition is not None and condition != self.server.hostile.etag and not fault.ignore_if_range:
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _answer(self, fault: Fault, status: int, headers: dict[str, str], body: Iterator[bytes], length: int) -> None:
        framing = {"Transfer-Encoding": "chunked"} if fault.chunked else {"Content-Length": str(length)}
        self.send_response(status)
        for name, value in (headers | framing | dict(fault.headers)).items():
            if name not in fault.without:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        sent = 0
        for piece in body:
            if fault.stall_after is not None and sent >= fault.stall_after:
                self.server.hostile.released.wait(10)
                break
            if fault.drop_after is not None:
                piece = piece[: fault.drop_after - sent]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if fault.chunked else piece)
            sent += len(piece)
            self.server.hostile.sent += len(piece)
            if sent == fault.drop_after:
                break
        else:
            if fault.chunked:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = "Content-Length" in fault.headers or bool(fault.without)
            return
        self.close_connection = True
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_WR)
