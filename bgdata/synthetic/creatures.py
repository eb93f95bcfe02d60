"""Drawings of birds and fish, in free units with y down; they face right."""

import numpy as np

from bgdata.synthetic.shapes import Colour, Mark, Part, blob, curve, ellipse, limb, placed, points
from bgdata.synthetic.textures import coat, mixed, scales, toned, varied

_BLACK: Colour = (22.0, 20.0, 22.0)


def draw_robin(rng: np.random.Generator) -> list[Part]:
    """Draw a plump perched songbird with a breast patch (robin)."""
    colour, breast = coat(rng, vivid=0.35), coat(rng, vivid=0.5)
    plump = rng.uniform(0.9, 1.12)
    body = blob((-0.5, 0.12), (-0.3, -0.2), (0.1, -0.38), (0.42, -0.3), (0.52, 0.05), (0.3, 0.38), (-0.1, 0.4)) * (
        1,
        plump,
    )
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
        Part(
            points((0.15, -0.08), (long, 0.05), (0.14, 0.1)),
            bill,
            (Mark((points((0.1, 0.03), (long, 0.05)),), _BLACK, 0.015),),
        ),
        Part(ellipse(0, 0, 0.25, 0.23), toned(colour, 0.92)),
        *bead_eye(0.09, -0.04, 0.042),
    ]


def _bird_legs(rng: np.random.Generator, *, x: float, top: float, length: float) -> list[Part]:
    """Draw two thin legs with three toes each."""
    tone, parts = toned(coat(rng, vivid=0.2), 0.6), []
    for dx in (-0.08, 0.1):
        foot = (x + dx + 0.04, top + length)
        parts.append(Part(limb(points((x + dx, top - 0.05), foot), (0.035, 0.025)), tone))
        toes = [limb(points(foot, (foot[0] + dx, foot[1] + 0.05)), (0.025, 0.015)) for dx in (-0.1, 0.08, 0.15)]
        parts += [Part(toe, tone) for toe in toes]
    return parts


def bead_eye(x: float, y: float, radius: float) -> list[Part]:
    """Draw a dark bead of an eye with a pale ring and a highlight."""
    glint = Mark((ellipse(x + 0.3 * radius, y - 0.3 * radius, 0.3 * radius, 0.3 * radius),), (245, 245, 245))
    pupil = Mark((ellipse(x, y, 0.75 * radius, 0.75 * radius),), _BLACK)
    return [Part(ellipse(x, y, radius, radius), (226, 214, 180), (pupil, glint), roundness=0.0)]


def draw_flamingo(rng: np.random.Generator) -> list[Part]:
    """Draw a wader with a long bent neck, stilt legs and a hooked bill (flamingo)."""
    colour, high = coat(rng, vivid=0.6), rng.uniform(0.7, 0.95)
    body = blob((-0.66, 0.1), (-0.3, -0.22), (0.14, -0.26), (0.4, -0.04), (0.26, 0.2), (-0.2, 0.24))
    wing = blob((0.2, -0.14), (0.16, 0.08), (-0.2, 0.16), (-0.8, 0.2), (-0.4, -0.06))
    knots = points(
        (0.26, 0.0), (0.52, 0.02), (0.56, -0.26), (0.34, -0.52), (0.38, -0.52 - 0.35 * high), (0.58, -0.6 - 0.4 * high)
    )
    head = (0.62, -0.58 - 0.4 * high)
    legs = [limb(points((-0.02, 0.15), (0.04, 0.62), (-0.04, 1.15)), (0.05, 0.035, 0.03))]
    knee = rng.uniform(0.15, 0.4)
    legs.append(
        limb(points((-0.14, 0.15), (-0.14 + knee, 0.55), (-0.2, 0.62 + 1.2 * (0.4 - knee))), (0.05, 0.035, 0.03))
    )
    tone = toned(varied(colour, rng, amount=1.0), 0.75)
    bill = blob((0.1, -0.06), (0.22, 0.0), (0.26, 0.18), (0.18, 0.2), (0.12, 0.09), (0.04, 0.07))
    tip = Mark((ellipse(0.24, 0.2, 0.1, 0.12),), _BLACK)
    feathers = tuple(points((0.15, -0.1 + 0.05 * i), (-0.85, 0.04 + 0.05 * i)) for i in range(6))
    return [
        *(Part(leg, tone) for leg in legs),
        Part(blob((-0.14, 1.2), (-0.04, 1.1), (0.14, 1.2)), tone),
        Part(limb(knots, (0.12, 0.09, 0.075, 0.07, 0.065, 0.07)), toned(colour, 1.08)),
        Part(body, colour, scales(body, toned(colour, 0.85), pitch=0.13)),
        Part(wing, toned(colour, 0.86), (Mark(feathers, toned(colour, 0.6), 0.022),)),
        *placed(
            [
                Part(bill, (232, 212, 196), (tip,)),
                Part(ellipse(0, 0, 0.13, 0.11), colour),
                *bead_eye(0.03, -0.02, 0.03),
            ],
            shift=head,
            angle=rng.uniform(-12, 25),
        ),
    ]


def draw_tench(rng: np.random.Generator) -> list[Part]:
    """Draw a slim, scaled fish with a forked tail (tench)."""
    colour, fat = coat(rng, vivid=0.45), rng.uniform(0.85, 1.15)
    body = blob(
        (0.95, 0.03),
        (0.72, -0.18),
        (0.25, -0.3),
        (-0.3, -0.2),
        (-0.72, -0.07),
        (-0.72, 0.08),
        (-0.3, 0.2),
        (0.3, 0.28),
        (0.75, 0.17),
    ) * (1, fat)
    flank = Mark(
        (blob((1.1, 0.1), (0.2, 0.06), (-0.9, 0.04), (-0.8, 0.4), (0.2, 0.5), (0.9, 0.4)),),
        mixed(colour, (238, 232, 214), 0.6),
    )
    flap = rng.uniform(-0.1, 0.1)
    tail = blob((-0.66, 0.0), (-0.85, -0.14), (-1.16, -0.34 + flap), (-1.02, 0.0), (-1.16, 0.34 + flap), (-0.85, 0.14))
    dorsal = blob((0.2, -0.22), (0.08, -0.54), (-0.1, -0.46), (-0.28, -0.16))
    belly = blob((0.1, 0.2), (-0.06, 0.48), (-0.2, 0.4), (-0.24, 0.16))
    marks = (flank, *scales(body, toned(colour, 0.62), pitch=0.1))
    return [
        *_fins(rng, colour, (tail, dorsal, belly)),
        Part(body, colour, marks),
        *_fish_face(rng, colour, x=0.72, y=-0.05),
    ]


def draw_rock_beauty(rng: np.random.Generator) -> list[Part]:
    """Draw a tall, disc-shaped fish of two colours with swept fins (rock beauty)."""
    colour, second, tall = coat(rng, vivid=0.6), coat(rng, vivid=0.6), rng.uniform(0.9, 1.15)
    body = blob(
        (0.66, 0.04),
        (0.45, -0.26),
        (0.05, -0.46),
        (-0.35, -0.38),
        (-0.62, -0.1),
        (-0.62, 0.1),
        (-0.35, 0.38),
        (0.05, 0.46),
        (0.45, 0.28),
    ) * (1, tall)
    dorsal = blob((0.25, -0.36), (-0.1, -0.62), (-0.52, -0.7), (-0.72, -0.48), (-0.5, -0.2)) * (1, tall)
    anal = dorsal * (1, -1)
    tail = blob((-0.55, 0.0), (-0.74, -0.12), (-0.98, -0.26), (-0.94, 0.0), (-0.98, 0.26), (-0.74, 0.12))
    if rng.random() < 0.5:
        pattern: tuple[Mark, ...] = (
            Mark((blob((0.2, -0.8), (-0.9, -0.8), (-0.9, 0.8), (0.2, 0.8), (0.02, 0)),), second),
        )
    else:
        pattern = tuple(
            Mark((curve(points((x - 0.07, -0.8), (x + 0.03, 0), (x - 0.07, 0.8))),), second, rng.uniform(0.07, 0.14))
            for x in (-0.4, -0.1, 0.2)
        )
    marks = (*pattern, *scales(body, toned(mixed(colour, second, 0.5), 0.7), pitch=0.1, width=0.008))
    return [
        *_fins(rng, second, (tail, dorsal, anal)),
        Part(body, colour, marks),
        *_fish_face(rng, colour, x=0.44, y=-0.06),
    ]


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
    fin = blob(
        (x - 0.3, y + 0.08), (x - 0.62, y + 0.06 + rng.uniform(-0.05, 0.12)), (x - 0.58, y + 0.24), (x - 0.34, y + 0.2)
    )
    rays = tuple(np.stack([fin[0], tip]) for tip in fin[4:-4:2])
    return [
        Part(gill, toned(colour, 0.45), roundness=0.0),
        Part(fin, toned(colour, 0.8), (Mark(rays, toned(colour, 0.55), 0.014),), roundness=0.4),
        *bead_eye(x, y, 0.06),
    ]
