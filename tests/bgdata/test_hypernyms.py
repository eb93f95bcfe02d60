"""Prompts that explain a synset by its WordNet hypernyms."""

import re

import pytest

from bgdata.errors import InputError
from bgdata.prompts import hypernyms_prompt, imagenet_wnids, plain_phrase, synset_prompt


@pytest.mark.parametrize(
    ("wnid", "phrases"),
    [
        ("n01440764", ("a tench, a type of cyprinid", "a tench, a type of cypriniform fish")),
        ("n02444819", ("an otter, a type of musteline mammal", "an otter, a type of carnivore")),
        ("n04509417", ("a unicycle, a type of wheeled vehicle", "a unicycle, a type of vehicle")),
        ("n03544143", ("an hourglass, a type of sandglass", "an hourglass, a type of timepiece")),
        # Of two hypernyms of its own, not of the first one's.
        ("n02672831", ("an accordion, a type of free-reed instrument", "an accordion, a type of keyboard instrument")),
    ],
)
def test_a_synset_is_explained_by_its_two_nearest_hypernyms(wnid: str, phrases: tuple[str, ...]) -> None:
    assert hypernyms_prompt(wnid) == phrases


def test_every_synset_has_two_different_hypernyms_that_the_detector_can_read() -> None:
    for wnid in imagenet_wnids():
        name, parent = synset_prompt(wnid)
        first, second = hypernyms_prompt(wnid)
        assert re.fullmatch(f"an? {re.escape(name)}, a type of {re.escape(parent)}", first)
        assert len({name, parent, second.rpartition(" a type of ")[2]}) == 3
        assert [plain_phrase(phrase) for phrase in (first, second)] == [first.replace(",", ""), second.replace(",", "")]
        assert re.fullmatch(r"[a-z0-9][a-z0-9', -]*", second)


@pytest.mark.parametrize("wnid", ["n00000001", "", "dog"])
def test_a_wnid_without_a_name_is_told(wnid: str) -> None:
    with pytest.raises(InputError, match=f"{wnid} is none of ImageNet's 1,000 synsets.*prompts to superclass"):
        hypernyms_prompt(wnid)
