"""What to look for, in words: the phrases that name a photo's object to a detector that reads text.

Source of `synsets.csv`: WordNet 3.0 (an ImageNet wnid is the offset of a noun synset in its `data.noun`): the first
lemma of each of the 1,000 synsets, and the first lemma of its first hypernym. WordNet 3.0 Copyright 2006 by Princeton
University. All rights reserved; provided "as is", without warranty, free to use, copy, modify and distribute with this
notice (https://wordnet.princeton.edu/license-and-commercial-use).
"""

import csv
import unicodedata
from functools import cache
from importlib.resources import files

from bgdata.classes import ClassList
from bgdata.errors import InputError

# Part of words: Shih-Tzu, jack-o'-lantern.
_WITHIN_WORDS = "'-"


def plain_phrase(name: str) -> str:
    """What a detector reads of a class's name: lower case, and of its signs only hyphens and apostrophes within words.

    Of "St. Bernard" it is `st bernard`, of "crane (bird)" `crane bird`, of "TV/monitor" `tv monitor`: dots, commas and
    question marks part phrases for GroundingDINO, and brackets can spell its tokenizer's own signs.

    Raises InputError where nothing is left of the name.
    """
    text = unicodedata.normalize("NFKC", name).lower().replace("\u2019", "'")
    # Letters, their accents and numbers.
    kept = (sign if unicodedata.category(sign)[0] in "LMN" or sign in _WITHIN_WORDS else " " for sign in text)
    words = (word.strip(_WITHIN_WORDS) for word in "".join(kept).split())
    phrase = " ".join(filter(None, words))
    if not phrase:
        raise InputError(f"the class {name!r} has neither letters nor digits to look for: give it another name")
    return phrase


def class_prompt(classes: ClassList, label: int) -> tuple[str, ...]:
    """The one phrase of a label: its class's name."""
    return (classes.names[label],)


def synset_prompt(wnid: str) -> tuple[str, ...]:
    """The English name of a synset and its WordNet parent's, in lower case: `("tench", "cyprinid")`.

    The parent tells what kind of crane is meant (`("crane", "wading bird")`), and helps where the name is rare.

    Raises InputError for a wnid that is none of ImageNet's 1,000.
    """
    try:
        return _table()[wnid]
    except KeyError:
        raise InputError(
            f"{wnid} is none of ImageNet's 1,000 synsets, so it has no name to look for: set "
            "segment.grounding_dino.prompts to superclass"
        ) from None


def imagenet_wnids() -> tuple[str, ...]:
    """The wnids of ImageNet's 1,000 classes, in the order of its labels."""
    return tuple(_table())


@cache
def _table() -> dict[str, tuple[str, ...]]:
    rows = csv.DictReader(files("bgdata").joinpath("synsets.csv").read_text().splitlines())
    return {row["wnid"]: (row["name"].lower(), row["parent"].lower()) for row in rows}
