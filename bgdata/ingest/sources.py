"""From a source's name to its photos: an ILSVRC tree, folders of classes, a flat folder, or an ImageFolder tree."""

from collections.abc import Sequence
from pathlib import Path

from bgdata.classes import ClassList
from bgdata.fetch.public_lists import PUBLIC_LISTS
from bgdata.ingest.candidates import Candidate, PhotoTree, find_gone
from bgdata.ingest.flat import FlatFolder, list_flat
from bgdata.ingest.folder import ValShare, find_folder_tree, list_folder_tree
from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.labels import IN9

# What is read as a tree of class folders: the user's own, and what is downloaded as one.
TREES = ("folder", *PUBLIC_LISTS)
_NOT_SPLIT = ValShare(1.0, 0)


def open_source(
    source: str,
    root: Path,
    classes: ClassList = IN9,
    *,
    share: ValShare = _NOT_SPLIT,
    gone: Sequence[Path] = (),
) -> tuple[PhotoTree, list[Candidate]]:
    """The tree of a source (`fetch.source`) at `root` and its photos of the classes, none of them opened.

    `share` is how a tree of class folders is split that is not. Photos that are `gone` are listed without a file.
    Raises InputError where the root is not laid out as the source's files are.
    """
    if source in TREES:
        images = find_folder_tree(root, classes)
        return images, list_folder_tree(images, share=share, gone=gone)
    if source == "sample":
        folder = FlatFolder(root, classes)
        return folder, list_flat(folder, gone=gone)[0]
    tree = find_tree(root, classes)
    return tree, list_candidates(tree, gone=gone)


def open_listed(
    source: str, root: Path, listing: Path, classes: ClassList = IN9, *, share: ValShare = _NOT_SPLIT
) -> tuple[PhotoTree, list[Candidate]]:
    """What `open_source` gives, held against the listing that `fetch` wrote.

    A few files may be gone since: their photos stay candidates, so that they are counted (`no_photo`). Raises
    InputError where there is no listing, or another tree altogether.
    """
    tree, candidates = open_source(source, root, classes, share=share)
    gone = find_gone(tree, candidates, listing)
    return (tree, candidates) if not gone else open_source(source, root, classes, share=share, gone=gone)
