"""The eighteen kinds of drawn objects, two for each class, each standing for one ImageNet synset."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bgdata.synthetic import beasts, crawlers, creatures, things
from bgdata.synthetic.shapes import Part


@dataclass(frozen=True)
class Kind:
    """One drawn kind: its synset, the synset's name, the class it belongs to and how it is drawn."""

    wnid: str
    name: str
    label: int
    draw: Callable[[np.random.Generator], list[Part]]


KINDS: tuple[Kind, ...] = (
    Kind("n02099712", "Labrador retriever", 0, beasts.draw_retriever),
    Kind("n02088238", "basset", 0, beasts.draw_basset),
    Kind("n01558993", "robin", 1, creatures.draw_robin),
    Kind("n02007558", "flamingo", 1, creatures.draw_flamingo),
    Kind("n04285008", "sports car", 2, things.draw_sports_car),
    Kind("n03796401", "moving van", 2, things.draw_van),
    Kind("n01677366", "common iguana", 3, crawlers.draw_iguana),
    Kind("n01669191", "box turtle", 3, crawlers.draw_turtle),
    Kind("n02129604", "tiger", 4, beasts.draw_tiger),
    Kind("n02129165", "lion", 4, beasts.draw_lion),
    Kind("n02167151", "ground beetle", 5, crawlers.draw_beetle),
    Kind("n02276258", "admiral", 5, crawlers.draw_butterfly),
    Kind("n02676566", "acoustic guitar", 6, things.draw_guitar),
    Kind("n03249569", "drum", 6, things.draw_drum),
    Kind("n02481823", "chimpanzee", 7, beasts.draw_chimpanzee),
    Kind("n02493793", "spider monkey", 7, beasts.draw_spider_monkey),
    Kind("n01440764", "tench", 8, creatures.draw_tench),
    Kind("n02606052", "rock beauty", 8, creatures.draw_rock_beauty),
)


def kinds_of(label: int) -> tuple[Kind, ...]:
    """Return the kinds of a class; `label` is its index in the order of ImageNet-9."""
    found = tuple(kind for kind in KINDS if kind.label == label)
    if not found:
        raise ValueError(f"label must be one of the nine classes 0..8, got {label}")
    return found
