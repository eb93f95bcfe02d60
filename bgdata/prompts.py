"""What to look for, in words: the phrases that name a photo's object to a detector that reads text.

Source of `synsets.csv`: WordNet 3.0 (an ImageNet wnid is the offset of a noun synset in its `data.noun`): the first
lemma of each of the 1,000 synsets, that of its first hypernym (`parent`), and that of the next nearest one (`ancestor`:
its second hypernym, else its first hypernym's first). WordNet 3.0 Copyright 2006 by Princeton
University. All rights reserved; provided "as is", without warranty, free to use, copy, modify and distribute with this
notice (https://wordnet.princeton.edu/license-and-commercial-use).
"""

import csv
import re
import unicodedata
from functools import cache
from importlib.resources import files

from bgdata.classes import ClassList
from bgdata.errors import InputError

# Part of words: Shih-Tzu, jack-o'-lantern.
_WITHIN_WORDS = "'-"
# Of these 1,000 names.
_SOUNDS_LIKE_VOWEL = re.compile("[aeio]|u(?!ni)|hour")


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
    return _names(wnid)[:2]


def hypernyms_prompt(wnid: str) -> tuple[str, ...]:
    """A synset as two of its hypernyms explain it: `("a tench, a type of cyprinid", "a tench, a type of cypriniform
    fish")`.

    The form is ForNet's (Nauen et al. 2025, "ForAug"). Raises InputError for a wnid that is none of ImageNet's 1,000.
    """
    name, *hypernyms = _names(wnid)
    article = "an" if _SOUNDS_LIKE_VOWEL.match(name) else "a"
    return tuple(f"{article} {name}, a type of {hypernym}" for hypernym in hypernyms)


def _names(wnid: str) -> tuple[str, ...]:
    """The names of a synset and of two hypernyms, the nearest first, in lower case."""
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
    return {row["wnid"]: tuple(row[column].lower() for column in ("name", "parent", "ancestor")) for row in rows}
