"""What a file is, by its content: endings are what people and programs made of them."""

import pickle
import struct
import zipfile
from pathlib import Path

_HEAD = 4096
_UTF8_BOM = b"\xef\xbb\xbf"
_POINTER = b"version https://git-lfs.github.com/spec/"
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
}
_OTHERS = {
    b"\x89HDF": "an HDF5 file, as Keras writes weights",
    b"\x93NUMPY": "one numpy array",
    b"GGUF": "a GGUF file of a language model's",
    b"%PDF": "a PDF document",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
}


# What torch.save began its files with before it wrote zips.
_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: eight bytes of a header's length, then the header, in JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and 2 <= struct.unpack("<Q", head[:8])[0] <= 100_000_000


def describe_content(path: Path) -> str:
    """What a file that is no readable checkpoint is instead, and what to do about it; the end of a sentence on it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "is empty (0 bytes): its download or copy failed; make or download it again"
    if head.startswith(_POINTER):
        return "is a Git LFS pointer, not the weights themselves: run `git lfs pull` there, or download the file"
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            return f"is compressed ({name}): unpack it and give the file of weights inside"
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return f"is {name}, no PyTorch checkpoint: give what torch.save or safetensors wrote"
    if head[257:262] == b"ustar":
        return "is a tar archive: unpack it and give the file of weights inside"
    if head.startswith(b"PK"):
        return _describe_zip(path, size)
    if head[:1] == b"\x80" and head[1:2] <= b"\x05" and not head.startswith(_MAGIC) and head[2:]:
        return "is a Python pickle that torch.save did not write: save the state dict in it with torch.save"
    return _describe_text(head) or (
        f"({size} bytes) is no PyTorch checkpoint, or was cut short: make or download it again"
    )


def zip_names(path: Path) -> list[str] | None:
    """The names in a zip archive; None of any other file, and of one that is cut short or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception:  # damaged archives raise whatever their bytes lead to
        return None


def _describe_zip(path: Path, size: int) -> str:
    names = zip_names(path)
    if names is None:  # an archive's table of contents is its end
        return f"({size} bytes) was cut short or damaged: make or download it again"
    if names and all(name.endswith(".npy") for name in names):
        return "holds numpy arrays (.npz), no state dict: save them with torch.save({name: torch.from_numpy(array)})"
    if any(name.endswith("/constants.pkl") for name in names):
        return "is a TorchScript program, which holds its code: give a file of weights"
    if any(name.endswith(("data.pkl", "/byteorder")) for name in names):
        return f"({size} bytes) is a PyTorch checkpoint with broken content: make or download it again"
    listed = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return (
        f"is a zip archive ({listed or 'empty'}), no PyTorch checkpoint: unpack it and give the file of weights inside"
    )


def _describe_text(head: bytes) -> str | None:
    """A page, an error answer, or other text; None for binary content."""
    begin = head.removeprefix(_UTF8_BOM).lstrip()
    again = "the download failed (a login or a moved address?); download the file itself"
    if begin[:1] == b"<":
        html = b"<html" in head.lower() or b"<!doctype html" in head.lower()
        return f"is {'a web page (HTML)' if html else 'an XML document'}, no checkpoint: {again}"
    # Bytes of UTF-8 may be cut in two where the head ends.
    text = begin.decode("utf-8", errors="replace").rstrip("\ufffd")
    if not text or "\ufffd" in text or not all(sign.isprintable() or sign.isspace() for sign in text):
        return None
    if begin[:1] in (b"{", b"["):
        return f"is JSON ({text[:40]!r} ...), no checkpoint: {again}"
    return f"is text ({text.splitlines()[0][:40]!r} ...), no checkpoint: {again}"
