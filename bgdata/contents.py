"""What a file is, by how it begins: for the sentences on files that are not what their names say."""

# Answers of servers, and what stands for a file that was not fetched.
_TEXTS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"{": "JSON, perhaps a server's answer",
    b"[": "JSON, perhaps a server's answer",
}
_BINARIES = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
}


def describe_start(start: bytes) -> str | None:
    """What a file is that begins so (a few hundred bytes); None for what is not known here."""
    if not start:
        return "empty"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        is_page = b"<html" in text.lower() or text.lower().startswith(b"<!doctype html")
        return "a web page (HTML)" if is_page else "an XML document"
    named = [what for sign, what in _BINARIES.items() if start.startswith(sign)]
    named += [what for sign, what in _TEXTS.items() if text.startswith(sign)]
    return next(iter(named), None)
