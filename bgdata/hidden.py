"""Files that a system or a tool leaves beside a user's own: never anybody's data, so no reader looks at them."""

from pathlib import PurePath

# As the file managers of Windows, the archives of macOS and the media server of Synology name theirs.
_SYSTEM = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir"})


def is_hidden(path: str | PurePath) -> bool:
    """Whether any part of a path is hidden (begins with a dot) or a system's own, in upper or lower case."""
    parts = str(path).replace("\\", "/").split("/")
    return any((part.startswith(".") and part not in (".", "..")) or part.lower() in _SYSTEM for part in parts)
