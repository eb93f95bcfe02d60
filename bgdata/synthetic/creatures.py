"""Drawings of birds, reptiles, insects and fish, in free units with y down; side views face right."""

from __future__ import annotations

import numpy as np

from bgdata.synthetic.shapes import Colour, Mark, Part, blob, curve, ellipse, limb, placed, points
from bgdata.synthetic.textures import coat, contrasting, mixed, scales, speckle, spots, stripes, toned, varied

_BLACK: Colour = (22.0, 20.0, 22.0)


def draw_robin(rng: np.random.Generator) -> list[Part]:
    """Draw a plump perched songbird with a breast patch (robin)."""
    colour, breast = coat(rng, vivid=0.35), coat(rng, vivid=0.5)
    plump = rng.uniform(0.9, 1.12)
    body = blob((-0.5, 0.12), (-0.3, -0.2), (0.1, -0.38), (0.42, -0.3), (0.52, 0.05), (0.3, 0.38), (-0.1, 0.4)) * (1, plump)
    patch = Mark((blob((0.25, -0.35), (0.7, -0.3), (0.62, 0.3), (0.2, 0.55), (-0.1, 0.4), (0.15, 0.1)),), breast)
    wing = blob((0.2, -0.16), (0.12, 0.16), (-0.2, 0.26), (-0.72, 0.24), (-0.35, -0.02), (-0.05, -0.22))
    dark = toned(colour, 0.6)
    feathers = tuple(points((0.12 - 0.1 * i, -0.1 + 0.03 * i), (-0.75, 0.05 + 0.06 * i)) for i in range(6))
    tilt = rng.uniform(-0.1, 0.2)
    tail = limb(points((-0.4, 0.12), (-0.8, 0.26 + tilt), (-1.1, 0.32 + 1.6 * tilt)), (0.12, 0.09, 0.1))
    vanes = tuple(points((-0.45, 0.1 + d), (-1.15, 0.33 + 1.6 * tilt + d)) for d in (-0.05, 0.02, 0.09))
    return [
        *_bird_legs(rng, x=0.05, top=0.36 * plump, length=rng.uniform(0.26, 0.36)),
        Part(tail, dark, (Mark(vanes, toned(dark, 0.6), 0.02),)),
        Part(body, colour, (patch, *scales(body, toned(colour, 0.85), pitch=0.12))),
        Part(wing, toned(colour, 0.75), (Mark(feathers, toned(colour, 0.45), 0.025),)),
        *placed(_songbird_head(rng, colour), shift=(0.42, -0.42 * plump), angle=rng.uniform(-18, 14)),
    ]


def _songbird_head(rng: np.random.Generator, colour: Colour) -> list[Part]:
    """Draw a round head with a short pointed beak about the origin."""
    long = rng.uniform(0.42, 0.52)
    bill = toned(coat(rng, vivid=0.5), 0.8)
    return [
        Part(points((0.15, -0.08), (long, 0.05), (0.14, 0.1)), bill, (Mark((points((0.1, 0.03), (long, 0.05)),), _BLACK, 0.015),)),
        Part(ellipse(0, 0, 0.25, 0.23), toned(colour, 0.92)),
        *_bead_eye(0.09, -0.04, 0.042),
    ]


def _bird_legs(rng: np.random.Generator, *, x: float, top: float, length: float) -> list[Part]:
    """Draw two thin legs with three toes each."""
    tone, parts = toned(coat(rng, vivid=0.2), 0.6), []
    for dx in (-0.08, 0.1):
        foot = (x + dx + 0.04, top + length)
        parts.append(Part(limb(points((x + dx, top - 0.05), foot), (0.035, 0.025)), tone))
        for toe in (-0.1, 0.08, 0.15):
            parts.append(Part(limb(points(foot, (foot[0] + toe, foot[1] + 0.05)), (0.025, 0.015)), tone))
    return parts


def _bead_eye(x: float, y: float, radius: float) -> list[Part]:
    """Draw a dark bead of an eye with a pale ring and a highlight."""
    glint = Mark((ellipse(x + 0.3 * radius, y - 0.3 * radius, 0.3 * radius, 0.3 * radius),), (245, 245, 245))
    pupil = Mark((ellipse(x, y, 0.75 * radius, 0.75 * radius),), _BLACK)
    return [Part(ellipse(x, y, radius, radius), (226, 214, 180), (pupil, glint), roundness=0.0)]


def draw_flamingo(rng: np.random.Generator) -> list[Part]:
    """Draw a wader with a long bent neck, stilt legs and a hooked bill (flamingo)."""
    colour, high = coat(rng, vivid=0.6), rng.uniform(0.7, 0.95)
    body = blob((-0.66, 0.1), (-0.3, -0.22), (0.14, -0.26), (0.4, -0.04), (0.26, 0.2), (-0.2, 0.24))
    wing = blob((0.2, -0.14), (0.16, 0.08), (-0.2, 0.16), (-0.8, 0.2), (-0.4, -0.06))
    knots = points((0.26, 0.0), (0.52, 0.02), (0.56, -0.26), (0.34, -0.52), (0.38, -0.52 - 0.35 * high), (0.58, -0.6 - 0.4 * high))
    head = (0.62, -0.58 - 0.4 * high)
    legs = [limb(points((-0.02, 0.15), (0.04, 0.62), (-0.04, 1.15)), (0.05, 0.035, 0.03))]
    knee = rng.uniform(0.15, 0.4)
    legs.append(limb(points((-0.14, 0.15), (-0.14 + knee, 0.55), (-0.2, 0.62 + 1.2 * (0.4 - knee))), (0.05, 0.035, 0.03)))
    tone = toned(varied(colour, rng, amount=1), 0.75)
    bill = blob((0.1, -0.06), (0.22, 0.0), (0.26, 0.18), (0.18, 0.2), (0.12, 0.09), (0.04, 0.07))
    tip = Mark((ellipse(0.24, 0.2, 0.1, 0.12),), _BLACK)
    feathers = tuple(points((0.15, -0.1 + 0.05 * i), (-0.85, 0.04 + 0.05 * i)) for i in range(6))
    return [
        *(Part(leg, tone) for leg in legs),
        Part(blob((-0.14, 1.2), (-0.04, 1.1), (0.14, 1.2)), tone),
        Part(limb(knots, (0.12, 0.09, 0.075, 0.07, 0.065, 0.07)), toned(colour, 1.08)),
        Part(body, colour, scales(body, toned(colour, 0.85), pitch=0.13)),
        Part(wing, toned(colour, 0.86), (Mark(feathers, toned(colour, 0.6), 0.022),)),
        *placed([Part(bill, (232, 212, 196), (tip,)), Part(ellipse(0, 0, 0.13, 0.11), colour), *_bead_eye(0.03, -0.02, 0.03)], shift=head, angle=rng.uniform(-12, 25)),
    ]


def draw_iguana(rng: np.random.Generator) -> list[Part]:
    """Draw a low lizard with splayed legs, a comb of spines and a long whip tail (common iguana)."""
    colour = coat(rng, vivid=0.4)
    dark, wave = toned(colour, 0.55), rng.uniform(-0.3, 0.3)
    spine = points((0.62, -0.12), (0.3, -0.1), (-0.15, -0.08), (-0.5, 0.02), (-0.9, 0.12), (-1.3, 0.14 + wave), (-1.7, 0.0 + wave * 1.5))
    body = limb(spine, (0.12, 0.2, 0.24, 0.17, 0.09, 0.05, 0.015))
    back = curve(spine)[2:26]
    crest = []
    for i in range(0, 24, 2):
        height = (0.1 if i < 14 else 0.06) * rng.uniform(0.8, 1.2)
        x, y = back[i][0], back[i][1] - float(np.interp(i, (0, 6, 14, 24), (0.1, 0.18, 0.2, 0.1)))
        crest.append(Part(points((x - 0.06, y + 0.06), (x - 0.02, y - height), (x + 0.06, y + 0.06)), dark, roundness=0.2))
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
    toes = [Part(limb(points(foot, (foot[0] + dx, foot[1] + dy)), (0.03, 0.015)), colour) for dx, dy in ((0.16, 0.0), (0.14, 0.07), (0.06, 0.1), (-0.04, 0.09))]
    return [*toes, Part(leg, colour, scales(leg, toned(colour, 0.7), pitch=0.07))]


def _lizard_head(rng: np.random.Generator, colour: Colour) -> list[Part]:
    """Draw a wedge of a head with a dewlap about the origin."""
    head = blob((-0.14, -0.1), (0.06, -0.15), (0.24, -0.08), (0.38, 0.02), (0.34, 0.1), (0.1, 0.12), (-0.12, 0.14))
    mouth = Mark((curve(points((0.4, 0.05), (0.24, 0.06), (0.06, 0.04))),), toned(colour, 0.35), 0.016)
    dewlap = blob((0.2, 0.08), (0.12, 0.3), (-0.02, 0.26), (-0.12, 0.1))
    return [
        Part(dewlap, varied(toned(colour, 0.85), rng, amount=2.0)),
        Part(head, toned(colour, 1.05), (*scales(head, toned(colour, 0.75), pitch=0.07), mouth)),
        *_bead_eye(0.1, -0.05, 0.038),
    ]


def draw_turtle(rng: np.random.Generator) -> list[Part]:
    """Draw a turtle with a domed shell of plates, stubby legs and a stretched neck (box turtle)."""
    shell, skin = coat(rng, vivid=0.35), coat(rng, vivid=0.35)
    high = rng.uniform(0.42, 0.56)
    dome = blob((-0.66, 0.12), (-0.5, -0.55 * high), (-0.12, -high), (0.25, -0.92 * high), (0.55, -0.45 * high), (0.66, 0.12), (0, 0.2))
    seams = toned(shell, 0.45)
    plates = [Mark(tuple(ellipse(x, y * high, 0.1, 0.09) for x, y in ((-0.32, -0.42), (0, -0.55), (0.32, -0.42), (-0.48, 0.0), (-0.17, -0.05), (0.17, -0.05), (0.48, 0.0))), contrasting(shell, rng))]
    lines = [curve(points((x * 0.75, -1.1 * high), (x, -0.4 * high), (x * 1.15, 0.3))) for x in (-0.5, -0.17, 0.17, 0.5)]
    lines.append(curve(points((-0.8, -0.2 * high), (0, -0.26 * high), (0.8, -0.2 * high))))
    marks = (*plates, Mark(tuple(lines), seams, 0.03), *speckle(rng, dome, shell))
    reach = rng.uniform(0.14, 0.28)
    neck = limb(points((0.5, 0.06), (0.68, -0.04), (0.72 + reach, -0.2)), (0.12, 0.1, 0.09))
    parts = [Part(limb(points((-0.6, 0.12), (-0.86, 0.24)), (0.06, 0.015)), skin)]
    stride = rng.uniform(-0.08, 0.08)
    for x, tone in ((0.3 - stride, 0.65), (-0.3 + stride, 0.65), (0.44 + stride, 1.0), (-0.44 - stride, 1.0)):
        leg = limb(points((x, 0.1), (x + 0.06 * np.sign(x), 0.28), (x + 0.1 * np.sign(x), 0.38)), (0.13, 0.11, 0.09))
        parts.append(Part(leg, toned(skin, tone), scales(leg, toned(skin, 0.6 * tone), pitch=0.08)))
    head = [Part(blob((-0.1, -0.1), (0.08, -0.12), (0.22, 0.0), (0.16, 0.09), (-0.08, 0.1)), skin, scales(ellipse(0, 0, 0.2, 0.2), toned(skin, 0.8), pitch=0.08)), *_bead_eye(0.07, -0.03, 0.03)]
    rim = limb(points((-0.7, 0.14), (0, 0.2), (0.7, 0.14)), (0.06, 0.07, 0.06))
    rim_marks = (Mark(tuple(points((x, 0), (x, 0.4)) for x in np.linspace(-0.6, 0.6, 9)), seams, 0.02),)
    return [*parts, Part(neck, skin, scales(neck, toned(skin, 0.75), pitch=0.08)), *placed(head, shift=(0.76 + reach, -0.24)), Part(dome, shell, marks, roundness=1.0), Part(rim, toned(shell, 0.8), rim_marks)]


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
        parts.append(Part(limb(points((side * 0.08, -0.7), (side * 0.13, -0.82), (side * 0.04, -0.9)), (0.04, 0.03, 0.012)), dark))
    case = blob((0, -0.34), (0.75 * wide, -0.3), (wide, 0.1), (0.7 * wide, 0.55), (0, 0.78), (-0.7 * wide, 0.55), (-wide, 0.1), (-0.75 * wide, -0.3))
    ridges = tuple(curve(points((s * k * 0.6, -0.4), (s * k, 0.1), (s * k * 0.5, 0.75))) for s in (-1, 1) for k in (0.11, 0.21, 0.3))
    shine = Mark((ellipse(-0.14, -0.05, 0.045, 0.2, angle=8),), toned(colour, 1.45))
    marks: tuple[Mark, ...] = (Mark(ridges, toned(colour, 0.7), 0.018), shine, Mark((points((0, -0.4), (0, 0.8)),), dark, 0.03))
    if rng.random() < 0.5:
        marks = (*spots(rng, case, contrasting(colour, rng), count=9, radius=0.09), *marks)
    thorax = blob((-0.27, -0.34), (-0.24, -0.56), (0, -0.6), (0.24, -0.56), (0.27, -0.34), (0, -0.28))
    head = [Part(ellipse(0, -0.64, 0.15, 0.13), dark), Part(ellipse(-0.13, -0.68, 0.04, 0.05), _BLACK), Part(ellipse(0.13, -0.68, 0.04, 0.05), _BLACK)]
    drawing = [*parts, *head, Part(case, colour, marks, roundness=1.0), Part(thorax, toned(colour, 0.65), roundness=1.0)]
    return placed(drawing, shift=(0, 0), angle=float(rng.choice([0, 50, 90, 130])))


def draw_butterfly(rng: np.random.Generator) -> list[Part]:
    """Draw a butterfly with spread wings, banded and eye-spotted (admiral)."""
    colour, second, fold = coat(rng, vivid=0.6), coat(rng, vivid=0.5), rng.uniform(0.75, 1.05)
    rim, parts = toned(colour, 0.3), []
    tips = rng.uniform(-0.06, 0.06, 2)
    for side in (-1, 1):
        mirror = (side * fold, 1)
        hind = blob((0.03, 0.05), (0.42, 0.06), (0.66, 0.34), (0.5, 0.68 + tips[1]), (0.22, 0.6), (0.05, 0.28))
        fore = blob((0.03, -0.08), (0.3, -0.5), (0.78, -0.74 + tips[0]), (0.92, -0.52), (0.74, -0.08), (0.36, 0.12), (0.05, 0.06))
        for wing, base in ((hind, second), (fore, colour)):
            middle = wing.mean(axis=0) * 0.9
            inner = (wing - middle) * 0.74 + middle
            veins = tuple(np.stack([(0.03, 0.0), tip]) * mirror for tip in wing[4::5])
            dots = tuple(ellipse(*(((tip - middle) * 0.86 + middle) * mirror), 0.032, 0.032) for tip in wing[3::4])
            band = (inner - middle) * 0.45 + middle * 1.2
            marks = (Mark((inner * mirror,), base), Mark((band * mirror,), mixed(base, second if base is colour else colour, 0.6)), Mark(veins, rim, 0.014), Mark(dots, toned(base, 1.7)))
            parts.append(Part(wing * mirror, rim, marks, roundness=0.35))
        feeler = curve(points((side * 0.02, -0.26), (side * 0.12, -0.5), (side * 0.24, -0.62)))
        parts.append(Part(limb(feeler, (0.018, 0.018)), _BLACK))
        parts.append(Part(ellipse(side * 0.24, -0.62, 0.03, 0.03), _BLACK))
    body = limb(points((0, -0.2), (0, 0.1), (0, 0.46)), (0.065, 0.07, 0.025))
    drawing = [*parts, Part(body, toned(colour, 0.35)), Part(ellipse(0, -0.25, 0.065, 0.065), toned(colour, 0.3))]
    return placed(drawing, shift=(0, 0), angle=float(rng.choice([0, 0, 35, -35])))


def draw_tench(rng: np.random.Generator) -> list[Part]:
    """Draw a slim, scaled fish with a forked tail (tench)."""
    colour, fat = coat(rng, vivid=0.45), rng.uniform(0.85, 1.15)
    body = blob((0.95, 0.03), (0.72, -0.18), (0.25, -0.3), (-0.3, -0.2), (-0.72, -0.07), (-0.72, 0.08), (-0.3, 0.2), (0.3, 0.28), (0.75, 0.17)) * (1, fat)
    flank = Mark((blob((1.1, 0.1), (0.2, 0.06), (-0.9, 0.04), (-0.8, 0.4), (0.2, 0.5), (0.9, 0.4)),), mixed(colour, (238, 232, 214), 0.6))
    flap = rng.uniform(-0.1, 0.1)
    tail = blob((-0.66, 0.0), (-0.85, -0.14), (-1.16, -0.34 + flap), (-1.02, 0.0), (-1.16, 0.34 + flap), (-0.85, 0.14))
    dorsal = blob((0.2, -0.22), (0.08, -0.54), (-0.1, -0.46), (-0.28, -0.16))
    belly = blob((0.1, 0.2), (-0.06, 0.48), (-0.2, 0.4), (-0.24, 0.16))
    marks = (flank, *scales(body, toned(colour, 0.62), pitch=0.1))
    return [*_fins(rng, colour, (tail, dorsal, belly)), Part(body, colour, marks), *_fish_face(rng, colour, x=0.72, y=-0.05)]


def draw_rock_beauty(rng: np.random.Generator) -> list[Part]:
    """Draw a tall, disc-shaped fish of two colours with swept fins (rock beauty)."""
    colour, second, tall = coat(rng, vivid=0.6), coat(rng, vivid=0.6), rng.uniform(0.9, 1.15)
    body = blob((0.66, 0.04), (0.45, -0.26), (0.05, -0.46), (-0.35, -0.38), (-0.62, -0.1), (-0.62, 0.1), (-0.35, 0.38), (0.05, 0.46), (0.45, 0.28)) * (1, tall)
    dorsal = blob((0.25, -0.36), (-0.1, -0.62), (-0.52, -0.7), (-0.72, -0.48), (-0.5, -0.2)) * (1, tall)
    anal = dorsal * (1, -1)
    tail = blob((-0.55, 0.0), (-0.74, -0.12), (-0.98, -0.26), (-0.94, 0.0), (-0.98, 0.26), (-0.74, 0.12))
    if rng.random() < 0.5:
        pattern: tuple[Mark, ...] = (Mark((blob((0.2, -0.8), (-0.9, -0.8), (-0.9, 0.8), (0.2, 0.8), (0.02, 0)),), second),)
    else:
        pattern = tuple(Mark((curve(points((x - 0.07, -0.8), (x + 0.03, 0), (x - 0.07, 0.8))),), second, rng.uniform(0.07, 0.14)) for x in (-0.4, -0.1, 0.2))
    marks = (*pattern, *scales(body, toned(mixed(colour, second, 0.5), 0.7), pitch=0.1, width=0.008))
    return [*_fins(rng, second, (tail, dorsal, anal)), Part(body, colour, marks), *_fish_face(rng, colour, x=0.44, y=-0.06)]


def _fins(rng: np.random.Generator, colour: Colour, outlines: tuple[np.ndarray, ...]) -> list[Part]:
    """Draw fins with rays that fan out from the body's middle."""
    tone = toned(varied(colour, rng, amount=0.7), 0.85)
    parts = []
    for outline in outlines:
        rays = tuple(np.stack([tip * 0.4, tip * 1.05]) for tip in outline[::2])
        parts.append(Part(outline, tone, (Mark(rays, toned(tone, 0.7), 0.014),), roundness=0.4))
    return parts


def _fish_face(rng: np.random.Generator, colour: Colour, *, x: float, y: float) -> list[Part]:
    """Draw the eye, the gill cover and the side fin of a fish whose eye is at (x, y)."""
    gill = limb(points((x - 0.2, y - 0.16), (x - 0.27, y + 0.05), (x - 0.2, y + 0.2)), (0.012, 0.02, 0.012))
    fin = blob((x - 0.3, y + 0.08), (x - 0.62, y + 0.06 + rng.uniform(-0.05, 0.12)), (x - 0.58, y + 0.24), (x - 0.34, y + 0.2))
    rays = tuple(np.stack([fin[0], tip]) for tip in fin[4:-4:2])
    return [
        Part(gill, toned(colour, 0.45), roundness=0.0),
        Part(fin, toned(colour, 0.8), (Mark(rays, toned(colour, 0.55), 0.014),), roundness=0.4),
        *_bead_eye(x, y, 0.06),
    ]
