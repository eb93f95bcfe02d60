"""The photos of an external source of backgrounds as they lie in its folder; none is opened."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bgdata.classes import ClassList
from bgdata.compose.settings import ExternalSettings
from bgdata.errors import InputError
from bgdata.foreign_images import IMAGE_ENDINGS
from bgdata.ingest.folder import walk_files
from bgdata.ingest.inspection import file_state


@dataclass(frozen=True)
class Listing:
    """The photos of a folder as listed: paths within it, each with the label of its class (None: unknown)."""

    home: Path
    labels: Mapping[str, int | None]

    @property
    def digest(self) -> str:
        """What is listed, with each file's size and time."""
        states = [[path, *file_state(str(self.home / path))] for path in self.labels]
        return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:24]


def list_external(name: str, settings: ExternalSettings, classes: ClassList) -> Listing:
    """The photos of an external source; of `settings.classes` where there are any, else all of its folder. Opens none.

    Raises InputError where there is no such folder, sub-folder or class, a photo would be of two classes, or there are
    fewer than two photos.
    """
    home = Path(settings.folder).expanduser()
    place = f"backgrounds.{name}"
    if not home.is_dir():
        raise InputError(f"{place}.folder is {settings.folder}, and there is no such folder: name one with photos")
    labels: dict[str, int | None] = {}
    for label, below in _places(place, settings, classes):
        if PurePosixPath(below).is_absolute() or not (home / below).is_dir():
            raise InputError(f"{place}.classes names the sub-folder {below}, which {home} does not have: correct it")
        for path in walk_files(home, PurePosixPath(below), IMAGE_ENDINGS):
            if labels.setdefault(path.as_posix(), label) != label:
                raise InputError(f"{place}.classes gives {path} to two classes: name its sub-folder for one of them")
    if len(labels) < 2:
        found = "one photo" if labels else "no photo"
        raise InputError(
            f"{place}.folder: {home} holds {found}{'' if settings.classes is None else ' of its classes'}, expected at "
            f"least two ({', '.join(IMAGE_ENDINGS)}): add photos, or name another folder"
        )
    return Listing(home, dict(sorted(labels.items())))


def _places(place: str, settings: ExternalSettings, classes: ClassList) -> list[tuple[int | None, str]]:
    """The sub-folders to look into, with the label of their photos."""
    if settings.classes is None:
        return [(None, "")]
    unknown = [each for each in settings.classes if each not in classes.names]
    if unknown:
        raise InputError(f"{place}.classes names {unknown[0]!r}, which is none of the classes {classes.describe()}")
    return [(classes.names.index(each), below) for each, folders in settings.classes.items() for below in folders]
