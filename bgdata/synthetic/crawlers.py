"""Drawings of reptiles (from the side, facing right) and insects (from above), in free units with y down."""

import numpy as np

from bgdata.synthetic.creatures import bead_eye
from bgdata.synthetic.shapes import Colour, Mark, Part, blob, curve, ellipse, limb, placed, points
from bgdata.synthetic.textures import coat, contrasting, mixed, scales, speckle, spots, stripes, toned, varied

_BLACK: Colour = (22.0, 20.0, 22.0)


def draw_iguana(rng: np.random.Generator) -> list[Part]:
    """Draw a low lizard with splayed legs, a comb of spines and a long whip tail (common iguana)."""
    colour = coat(rng, vivid=0.4)
    dark, wave = toned(colour, 0.55), rng.uniform(-0.3, 0.3)
    spine = points(
        (0.62, -0.12),
        (0.3, -0.1),
        (-0.15, -0.08),
        (-0.5, 0.02),
        (-0.9, 0.12),
        (-1.3, 0.14 + wave),
        (-1.7, 0.0 + wave * 1.5),
    )
    body = limb(spine, (0.12, 0.2, 0.24, 0.17, 0.09, 0.05, 0.015))
    back = curve(spine)[2:26]
    crest = []
    for i in range(0, 24, 2):
        height = (0.1 if i < 14 else 0.06) * rng.uniform(0.8, 1.2)
        x, y = back[i][0], back[i][1] - float(np.interp(i, (0, 6, 14, 24), (0.1, 0.18, 0.2, 0.1)))
        crest.append(
            Part(points((x - 0.06, y + 0.06), (x - 0.02, y - height), (x + 0.06, y + 0.06)), dark, roundness=0.2)
        )
    bands = stripes(rng, body, dark, count=13) if rng.random() < 0.6 else spots(rng, body, dark, count=24, radius=0.05)
    skin = bands + scales(body, toned(colour, 0.7), pitch=0.075)
    phase = rng.uniform(-0.1, 0.1)
    return [
        *_lizard_leg(0.3 - phase, -1, toned(colour, 0.6)), *_lizard_leg(-0.4 + phase, -1, toned(colour, 0.6)),
        *crest, Part(body, colour, skin),
        *_lizard_leg(0.22 + phase, 1, toned(colour, 0.9)), *_lizard_leg(-0.44 - phase, 1, toned(colour, 0.9)),
        *placed(_lizard_head(rng, colour), shift=(0.66, -0.16), angle=rng.uniform(-22, 12)),
    ]  # fmt: skip


def _lizard_leg(x: float, bend: int, colour: Colour) -> list[Part]:
    """Draw a splayed leg with spread toes; `bend` +1 puts the elbow forward, -1 backward."""
    foot = (x + 0.1 + 0.12 * bend, 0.36)
    leg = limb(points((x, 0.0), (x - 0.15 * bend, 0.16), foot), (0.1, 0.07, 0.045))
    toes = [
        Part(limb(points(foot, (foot[0] + dx, foot[1] + dy)), (0.03, 0.015)), colour)
        for dx, dy in ((0.16, 0.0), (0.14, 0.07), (0.06, 0.1), (-0.04, 0.09))
    ]
    return [*toes, Part(leg, colour, scales(leg, toned(colour, 0.7), pitch=0.07))]


def _lizard_head(rng: np.random.Generator, colour: Colour) -> list[Part]:
    """Draw a wedge of a head with a dewlap about the origin."""
    head = blob((-0.14, -0.1), (0.06, -0.15), (0.24, -0.08), (0.38, 0.02), (0.34, 0.1), (0.1, 0.12), (-0.12, 0.14))
    mouth = Mark((curve(points((0.4, 0.05), (0.24, 0.06), (0.06, 0.04))),), toned(colour, 0.35), 0.016)
    dewlap = blob((0.2, 0.08), (0.12, 0.3), (-0.02, 0.26), (-0.12, 0.1))
    return [
        Part(dewlap, varied(toned(colour, 0.85), rng, amount=2.0)),
        Part(head, toned(colour, 1.05), (*scales(head, toned(colour, 0.75), pitch=0.07), mouth)),
        *bead_eye(0.1, -0.05, 0.038),
    ]


def draw_turtle(rng: np.random.Generator) -> list[Part]:
    """Draw a turtle with a domed shell of plates, stubby legs and a stretched neck (box turtle)."""
    shell, skin = coat(rng, vivid=0.35), coat(rng, vivid=0.35)
    high = rng.uniform(0.42, 0.56)
    dome = blob(
        (-0.66, 0.12),
        (-0.5, -0.55 * high),
        (-0.12, -high),
        (0.25, -0.92 * high),
        (0.55, -0.45 * high),
        (0.66, 0.12),
        (0, 0.2),
    )
    seams = toned(shell, 0.45)
    plates = [
        Mark(
            tuple(
                ellipse(x, y * high, 0.1, 0.09)
                for x, y in (
                    (-0.32, -0.42),
                    (0, -0.55),
                    (0.32, -0.42),
                    (-0.48, 0.0),
                    (-0.17, -0.05),
                    (0.17, -0.05),
                    (0.48, 0.0),
                )
            ),
            contrasting(shell, rng),
        )
    ]
    lines = [
        curve(points((x * 0.75, -1.1 * high), (x, -0.4 * high), (x * 1.15, 0.3))) for x in (-0.5, -0.17, 0.17, 0.5)
    ]
    lines.append(curve(points((-0.8, -0.2 * high), (0, -0.26 * high), (0.8, -0.2 * high))))
    marks = (*plates, Mark(tuple(lines), seams, 0.03), *speckle(rng, dome, shell))
    reach = rng.uniform(0.14, 0.28)
    neck = limb(points((0.5, 0.06), (0.68, -0.04), (0.72 + reach, -0.2)), (0.12, 0.1, 0.09))
    parts = [Part(limb(points((-0.6, 0.12), (-0.86, 0.24)), (0.06, 0.015)), skin)]
    stride = rng.uniform(-0.08, 0.08)
    for x, tone in ((0.3 - stride, 0.65), (-0.3 + stride, 0.65), (0.44 + stride, 1.0), (-0.44 - stride, 1.0)):
        leg = limb(points((x, 0.1), (x + 0.06 * np.sign(x), 0.28), (x + 0.1 * np.sign(x), 0.38)), (0.13, 0.11, 0.09))
        parts.append(Part(leg, toned(skin, tone), scales(leg, toned(skin, 0.6 * tone), pitch=0.08)))
    head = [
        Part(
            blob((-0.1, -0.1), (0.08, -0.12), (0.22, 0.0), (0.16, 0.09), (-0.08, 0.1)),
            skin,
            scales(ellipse(0, 0, 0.2, 0.2), toned(skin, 0.8), pitch=0.08),
        ),
        *bead_eye(0.07, -0.03, 0.03),
    ]
    rim = limb(points((-0.7, 0.14), (0, 0.2), (0.7, 0.14)), (0.06, 0.07, 0.06))
    rim_marks = (Mark(tuple(points((x, 0), (x, 0.4)) for x in np.linspace(-0.6, 0.6, 9)), seams, 0.02),)
    return [
        *parts,
        Part(neck, skin, scales(neck, toned(skin, 0.75), pitch=0.08)),
        *placed(head, shift=(0.76 + reach, -0.24)),
        Part(dome, shell, marks, roundness=1.0),
        Part(rim, toned(shell, 0.8), rim_marks),
    ]


def draw_beetle(rng: np.random.Generator) -> list[Part]:
    """Draw a beetle from above: six bent legs, antennae, ridged wing cases (ground beetle)."""
    colour = coat(rng, vivid=0.5)
    dark, parts = toned(colour, 0.4), []
    wide = rng.uniform(0.3, 0.4)
    for side in (-1, 1):
        for y, knee, foot in ((-0.28, -0.5, -0.72), (-0.02, 0.02, 0.2), (0.2, 0.4, 0.78)):
            shake = rng.normal(0, 0.05, 2)
            path = points((side * 0.2, y), (side * 0.55, knee + shake[0]), (side * 0.74, foot + shake[1]))
            parts.append(Part(limb(path, (0.06, 0.045, 0.02)), dark))
        feeler = points((side * 0.08, -0.68), (side * 0.2, -0.95), (side * rng.uniform(0.3, 0.5), -1.1))
        parts.append(Part(limb(feeler, (0.028, 0.025, 0.02)), dark))
        parts.append(
            Part(
                limb(points((side * 0.08, -0.7), (side * 0.13, -0.82), (side * 0.04, -0.9)), (0.04, 0.03, 0.012)), dark
            )
        )
    case = blob(
        (0, -0.34),
        (0.75 * wide, -0.3),
        (wide, 0.1),
        (0.7 * wide, 0.55),
        (0, 0.78),
        (-0.7 * wide, 0.55),
        (-wide, 0.1),
        (-0.75 * wide, -0.3),
    )
    ridges = tuple(
        curve(points((s * k * 0.6, -0.4), (s * k, 0.1), (s * k * 0.5, 0.75)))
        for s in (-1, 1)
        for k in (0.11, 0.21, 0.3)
    )
    shine = Mark((ellipse(-0.14, -0.05, 0.045, 0.2, angle=8),), toned(colour, 1.45))
    marks: tuple[Mark, ...] = (
        Mark(ridges, toned(colour, 0.7), 0.018),
        shine,
        Mark((points((0, -0.4), (0, 0.8)),), dark, 0.03),
    )
    if rng.random() < 0.5:
        marks = (*spots(rng, case, contrasting(colour, rng), count=9, radius=0.09), *marks)
    thorax = blob((-0.27, -0.34), (-0.24, -0.56), (0, -0.6), (0.24, -0.56), (0.27, -0.34), (0, -0.28))
    head = [
        Part(ellipse(0, -0.64, 0.15, 0.13), dark),
        Part(ellipse(-0.13, -0.68, 0.04, 0.05), _BLACK),
        Part(ellipse(0.13, -0.68, 0.04, 0.05), _BLACK),
    ]
    drawing = [
        *parts,
        *head,
        Part(case, colour, marks, roundness=1.0),
        Part(thorax, toned(colour, 0.65), roundness=1.0),
    ]
    return placed(drawing, shift=(0, 0), angle=float(rng.choice([0, 50, 90, 130])))


def draw_butterfly(rng: np.random.Generator) -> list[Part]:
    """Draw a butterfly with spread wings, banded and eye-spotted (admiral)."""
    colour, second, fold = coat(rng, vivid=0.6), coat(rng, vivid=0.5), rng.uniform(0.75, 1.05)
    rim, parts = toned(colour, 0.3), []
    tips = rng.uniform(-0.06, 0.06, 2)
    for side in (-1, 1):
        mirror = (side * fold, 1)
        hind = blob((0.03, 0.05), (0.42, 0.06), (0.66, 0.34), (0.5, 0.68 + tips[1]), (0.22, 0.6), (0.05, 0.28))
        fore = blob(
            (0.03, -0.08),
            (0.3, -0.5),
            (0.78, -0.74 + tips[0]),
            (0.92, -0.52),
            (0.74, -0.08),
            (0.36, 0.12),
            (0.05, 0.06),
        )
        for wing, base in ((hind, second), (fore, colour)):
            middle = wing.mean(axis=0) * 0.9
            inner = (wing - middle) * 0.74 + middle
            veins = tuple(np.stack([(0.03, 0.0), tip]) * mirror for tip in wing[4::5])
            sites = ((wing[3::4] - middle) * 0.86 + middle) * mirror
            dots = tuple(ellipse(x, y, 0.032, 0.032) for x, y in sites)
            band = (inner - middle) * 0.45 + middle * 1.2
            marks = (
                Mark((inner * mirror,), base),
                Mark((band * mirror,), mixed(base, second if base is colour else colour, 0.6)),
                Mark(veins, rim, 0.014),
                Mark(dots, toned(base, 1.7)),
            )
            parts.append(Part(wing * mirror, rim, marks, roundness=0.35))
        feeler = curve(points((side * 0.02, -0.26), (side * 0.12, -0.5), (side * 0.24, -0.62)))
        parts.append(Part(limb(feeler, (0.018, 0.018)), _BLACK))
        parts.append(Part(ellipse(side * 0.24, -0.62, 0.03, 0.03), _BLACK))
    body = limb(points((0, -0.2), (0, 0.1), (0, 0.46)), (0.065, 0.07, 0.025))
    drawing = [*parts, Part(body, toned(colour, 0.35)), Part(ellipse(0, -0.25, 0.065, 0.065), toned(colour, 0.3))]
    return placed(drawing, shift=(0, 0), angle=float(rng.choice([0, 0, 35, -35])))
