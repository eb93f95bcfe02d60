"""From a source's name to its photos: an ILSVRC tree, or a flat folder."""

from pathlib import Path

from bgdata.ingest.candidates import Candidate, PhotoTree
from bgdata.ingest.flat import FlatFolder, list_flat
from bgdata.ingest.ilsvrc import find_tree, list_candidates


def open_source(source: str, root: Path) -> tuple[PhotoTree, list[Candidate]]:
    """The tree of a source (`fetch.source`) at `root` and its photos of the nine classes, none of them opened.

    Raises InputError where the root is not laid out as the source's files are.
    """
    if source == "sample":
        folder = FlatFolder(root)
        return folder, list_flat(folder)[0]
    tree = find_tree(root)
    return tree, list_candidates(tree)
