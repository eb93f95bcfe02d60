"""Prompts: names of classes and synsets that a detector can take as they are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgdata.errors import InputError
from bgdata.labels import CLASS_NAMES, IN9, in9_label_by_imagenet_index, in9_label_by_wnid
from bgdata.prompts import class_prompt, imagenet_wnids, plain_phrase, synset_prompt
from tests.conftest import IMAGENET_SAMPLE


def test_a_superclass_is_asked_for_by_its_name() -> None:
    assert class_prompt(IN9, 0) == ("dog",)
    assert class_prompt(IN9, 2) == ("wheeled vehicle",)
    assert [class_prompt(IN9, label)[0] for label in range(9)] == list(CLASS_NAMES)


@pytest.mark.parametrize(
    ("wnid", "phrases"),
    [
        ("n01440764", ("tench", "cyprinid")),
        ("n02012849", ("crane", "wading bird")),
        ("n01847000", ("drake", "duck")),
        ("n02086240", ("shih-tzu", "toy dog")),
        ("n03770679", ("minivan", "passenger van")),
    ],
)
def test_a_synset_is_asked_for_by_its_name_and_its_parents(wnid: str, phrases: tuple[str, ...]) -> None:
    assert synset_prompt(wnid) == phrases


def test_every_synset_has_two_plain_phrases() -> None:
    for wnid in imagenet_wnids():
        phrases = synset_prompt(wnid)
        assert len(set(phrases)) == len(phrases) == 2, wnid
        # A dot ends a phrase for GroundingDINO, and a comma is a token of its own.
        assert all(re.fullmatch(r"[a-z0-9][a-z0-9' -]*", phrase) for phrase in phrases), (wnid, phrases)


def test_the_wnids_are_in_the_order_of_imagenets_labels() -> None:
    wnids, labels = imagenet_wnids(), in9_label_by_imagenet_index()
    assert list(wnids) == sorted(wnids)
    assert len(wnids) == len(labels) == 1000
    assert [in9_label_by_wnid().get(wnid) for wnid in wnids] == labels


def test_of_the_nine_classes_no_two_synsets_ask_for_the_same() -> None:
    asked = [synset_prompt(wnid) for wnid in in9_label_by_wnid()]
    assert len(set(asked)) == len(asked) == 370


def test_a_wnid_without_a_name_is_told() -> None:
    with pytest.raises(InputError, match=r"n00000001 is none of ImageNet's 1,000 synsets.*prompts to superclass"):
        synset_prompt("n00000001")


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("St. Bernard", "st bernard"),
        ("crane (bird)", "crane bird"),
        ("hound, dog", "hound dog"),
        ("TV/monitor", "tv monitor"),
        ("potted_plant", "potted plant"),
        ("jack-o'-lantern", "jack-o'-lantern"),
        ("jack-o\u2019-lantern", "jack-o'-lantern"),
        ("'Shih-Tzu' -- \"dog\"?!", "shih-tzu dog"),
        ("[CLS] [SEP]", "cls sep"),
        ("caf\u00e9 \u72ac\u3002", "caf\u00e9 \u72ac"),
        ("wait\u2026\uff0e\ufe56", "wait"),
        ('3.5" disk \U0001f4be', "3 5 disk"),
        ("7", "7"),
        ("  A\n\tB\u200b ", "a b"),
    ],
)
def test_any_name_becomes_a_phrase(name: str, phrase: str) -> None:
    assert plain_phrase(name) == phrase
    assert plain_phrase(phrase) == phrase


@pytest.mark.parametrize("name", ["", " ", "...", "?!", "--'", "\U0001f415", "\u3002"])
def test_a_name_of_which_nothing_is_left_is_told(name: str) -> None:
    with pytest.raises(InputError, match=r"the class .* has neither letters nor digits to look for: give it another"):
        plain_phrase(name)


def test_the_names_that_we_have_are_phrases_already() -> None:
    for wnid in imagenet_wnids():
        assert tuple(map(plain_phrase, synset_prompt(wnid))) == synset_prompt(wnid)
    assert tuple(map(plain_phrase, CLASS_NAMES)) == CLASS_NAMES


@given(st.text(max_size=12))
def test_a_phrase_holds_nothing_that_parts_phrases(name: str) -> None:
    try:
        phrase = plain_phrase(name)
    except InputError:
        return
    assert not set(phrase) & set('.,?!;:()[]/"') and phrase == " ".join(phrase.split()) != ""


@pytest.mark.skipif(not IMAGENET_SAMPLE.is_dir(), reason="no real photos on this machine")
def test_the_names_are_imagenets() -> None:
    for line in (IMAGENET_SAMPLE / "LOC_synset_mapping.txt").read_text().splitlines():
        wnid, _, names = line.partition(" ")
        assert synset_prompt(wnid)[0] == names.split(",")[0].lower()
