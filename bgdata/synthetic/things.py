"""Drawings of wheeled vehicles and musical instruments, in free units with y down."""

import numpy as np

from bgdata.synthetic.shapes import Colour, Mark, Part, blob, ellipse, limb, placed, points
from bgdata.synthetic.textures import coat, contrasting, grain, mixed, speckle, toned

_TYRE: Colour = (34.0, 33.0, 36.0)


def draw_sports_car(rng: np.random.Generator) -> list[Part]:
    """Draw a low car from the side (sports car)."""
    colour, roof = coat(rng, vivid=0.5), rng.uniform(-0.5, -0.4)
    body = blob(
        (-1.0, 0.12), (-0.98, -0.1), (-0.7, -0.17), (-0.3, -0.18), (0.3, -0.14), (0.78, -0.06), (1.0, 0.08),
        (0.98, 0.2), (0.5, 0.24), (-0.5, 0.24), (-0.96, 0.22),
    )  # fmt: skip
    cabin = blob(
        (-0.72, -0.1), (-0.5, roof + 0.1), (-0.28, roof), (0.08, roof + 0.02), (0.3, -0.22), (0.46, -0.08), (0, 0.0)
    )
    glass = mixed((70, 92, 112), coat(rng, vivid=0.2), 0.25)
    panes = (
        points((-0.52, -0.16), (-0.4, roof + 0.1), (-0.2, roof + 0.06), (-0.18, -0.16)),
        points((-0.12, -0.16), (-0.13, roof + 0.06), (0.05, roof + 0.08), (0.26, -0.16)),
    )
    seams = (
        points((-0.16, -0.15), (-0.18, 0.18)),
        points((0.3, -0.12), (0.26, 0.18)),
        points((-0.95, -0.02), (0.9, 0.02)),
    )
    marks: tuple[Mark, ...] = (
        Mark(seams, toned(colour, 0.5), 0.014),
        Mark((points((-0.14, -0.06), (-0.06, -0.06)),), toned(colour, 1.5), 0.025),
    )
    if rng.random() < 0.3:
        marks = (Mark((points((-1.1, 0.08), (1.1, 0.12)),), contrasting(colour, rng), 0.07), *marks)
    lamps = [
        Part(blob((0.82, -0.02), (0.97, 0.05), (0.94, 0.1), (0.84, 0.06)), (246, 236, 190)),
        Part(blob((-0.98, -0.06), (-0.9, -0.08), (-0.9, 0.0), (-0.98, 0.02)), (180, 36, 34)),
    ]
    size = rng.uniform(0.2, 0.24)
    return [
        Part(cabin, toned(colour, 0.92)),
        *(Part(pane, glass, (Mark((pane[:2] * (1, 0.9),), toned(glass, 1.4), 0.02),), roundness=0.3) for pane in panes),
        Part(body, colour, marks, roundness=1.0),
        *lamps,
        *_wheel(rng, -0.6, 0.22, size),
        *_wheel(rng, 0.58, 0.22, size),
    ]


def _wheel(rng: np.random.Generator, x: float, y: float, radius: float) -> list[Part]:
    """Draw a wheel with a spoked rim about (x, y)."""
    metal, turn = toned((176, 178, 184), rng.uniform(0.7, 1.2)), rng.uniform(0, 1)
    angles = np.linspace(0, 2 * np.pi, int(rng.integers(5, 9)), endpoint=False) + turn
    spokes = tuple(points((x, y), (x + 0.6 * radius * np.cos(a), y + 0.6 * radius * np.sin(a))) for a in angles)
    hub = Mark((ellipse(x, y, 0.16 * radius, 0.16 * radius),), toned(metal, 0.6))
    return [
        Part(ellipse(x, y, radius, radius), _TYRE),
        Part(
            ellipse(x, y, 0.64 * radius, 0.64 * radius),
            toned(metal, 0.45),
            (Mark(spokes, metal, 0.035), hub),
            roundness=0.4,
        ),
    ]


def draw_van(rng: np.random.Generator) -> list[Part]:
    """Draw a box truck from the side: cargo box, cab, large wheels (moving van)."""
    box, cab = coat(rng, vivid=0.4), coat(rng, vivid=0.5)
    top, front = rng.uniform(-0.72, -0.56), rng.uniform(0.4, 0.5)
    cargo = points((-1.0, top), (front - 0.06, top), (front - 0.06, 0.24), (-1.0, 0.24))
    planks = tuple(points((x, top), (x, 0.3)) for x in np.linspace(-0.9, front - 0.12, int(rng.integers(5, 12))))
    stripe = Mark(
        (points((-1.1, rng.uniform(-0.3, 0.0)), (1, rng.uniform(-0.3, 0.0))),),
        contrasting(box, rng),
        rng.uniform(0.06, 0.2),
    )
    nose = blob(
        (front, 0.26),
        (front, -0.1),
        (front, top + 0.3),
        (front + 0.26, top + 0.26),
        (front + 0.42, -0.1),
        (front + 0.56, -0.02),
        (front + 0.58, 0.26),
        (front + 0.3, 0.28),
    )
    window = points(
        (front + 0.08, top + 0.34), (front + 0.25, top + 0.34), (front + 0.37, -0.08), (front + 0.08, -0.08)
    )
    door = (
        points((front + 0.04, top + 0.3), (front + 0.04, 0.24)),
        points((front + 0.36, -0.05), (front + 0.34, 0.24)),
    )
    size = rng.uniform(0.19, 0.23)
    glass = (84, 108, 128)
    return [
        Part(points((-0.98, 0.2), (front + 0.5, 0.2), (front + 0.5, 0.3), (-0.98, 0.3)), (52, 50, 52)),
        Part(
            cargo,
            box,
            (Mark(planks, toned(box, 0.78), 0.014), stripe, *speckle(rng, cargo, box, count=15)),
            roundness=0.35,
        ),
        Part(nose, cab, (Mark(door, toned(cab, 0.5), 0.014),)),
        Part(window, glass, (Mark((window[:2] + np.array([0, 0.05]),), toned(glass, 1.4), 0.03),), roundness=0.3),
        Part(ellipse(front + 0.53, 0.14, 0.045, 0.06), (246, 236, 190)),
        *_wheel(rng, -0.62, 0.3, size),
        *([] if rng.random() < 0.5 else _wheel(rng, -0.2, 0.3, size)),
        *_wheel(rng, front + 0.24, 0.3, size),
    ]


def draw_guitar(rng: np.random.Generator) -> list[Part]:
    """Draw a waisted guitar with sound hole, frets and strings, leaning at random (acoustic guitar)."""
    colour, long = coat(rng, vivid=0.3), rng.uniform(0.85, 1.05)
    waist, upper = rng.uniform(0.26, 0.32), rng.uniform(0.32, 0.38)
    body = blob(
        (0, 0.1), (upper * 0.8, 0.13), (upper, 0.32), (waist, 0.52), (0.46, 0.82), (0.3, 1.1), (0, 1.16),
        (-0.3, 1.1), (-0.46, 0.82), (-waist, 0.52), (-upper, 0.32), (-upper * 0.8, 0.13),
    )  # fmt: skip
    dark = toned(colour, 0.4)
    middle = body.mean(axis=0)
    inner = (body - middle) * 0.9 + middle
    rose = (
        Mark((ellipse(0, 0.5, 0.19, 0.19),), toned(colour, 1.5)),
        Mark((ellipse(0, 0.5, 0.16, 0.16),), dark),
        Mark((ellipse(0, 0.5, 0.135, 0.135),), (24, 18, 16)),
    )
    bridge = Mark((points((-0.17, 0.86), (0.17, 0.86), (0.15, 0.93), (-0.15, 0.93)),), toned(dark, 0.7))
    wood = grain(rng, body, toned(colour, 0.84), count=16)
    neck = points((-0.065, 0.36), (-0.055, -long), (0.055, -long), (0.065, 0.36))
    frets = tuple(points((-0.1, y), (0.1, y)) for y in 0.34 - (long + 0.3) * (1 - 0.88 ** np.arange(1, 14)))
    head = points(
        (-0.06, -long),
        (-0.1, -long - 0.06),
        (-0.09, -long - 0.32),
        (0.09, -long - 0.32),
        (0.1, -long - 0.06),
        (0.06, -long),
    )
    pegs = [
        Part(ellipse(s * 0.14, -long - y, 0.045, 0.03), (200, 196, 188)) for s in (-1, 1) for y in (0.1, 0.18, 0.26)
    ]
    strings = tuple(points((x, 0.9), (0.7 * x, -long)) for x in (-0.045, -0.015, 0.015, 0.045))
    edged = (Mark((inner,), colour), *wood, *rose, bridge, Mark(strings, (222, 216, 200), 0.008))
    board = (Mark(frets, (190, 184, 170), 0.012), Mark(strings, (222, 216, 200), 0.008))
    drawing = [
        *pegs,
        Part(head, dark),
        Part(body, dark, edged, roundness=0.5),
        Part(neck, (58, 42, 34), board, roundness=0.3),
    ]
    return placed(drawing, shift=(0, 0), angle=float(rng.choice([0, 30, 60, 90])))


def draw_drum(rng: np.random.Generator) -> list[Part]:
    """Draw a drum with hoops, lugs, a skin seen from above and two sticks (drum)."""
    colour, rim = coat(rng, vivid=0.5), mixed(coat(rng, vivid=0.1), (206, 196, 170), 0.5)
    deep, tilt = rng.uniform(0.38, 0.75), rng.uniform(0.18, 0.3)
    front = np.linspace(0, np.pi, 18)
    lower = np.stack([0.7 * np.cos(front), deep + tilt * np.sin(front)], axis=1)
    shell = np.concatenate([points((-0.7, 0.0), (0.7, 0.0)), lower])
    zigzag = np.stack(
        [
            np.linspace(-0.72, 0.72, 13),
            tilt * np.sqrt(np.clip(1 - np.linspace(-1, 1, 13) ** 2, 0, 1))
            + np.where(np.arange(13) % 2, deep - 0.05, 0.1),
        ],
        axis=1,
    )
    hoop = np.concatenate([lower + np.array([0, 0.05]), (lower - (0, 0.08))[::-1]])
    top_hoop = np.concatenate([lower - (0, deep - 0.1), (lower - (0, deep + 0.04))[::-1]])
    lacing = (*grain(rng, shell, toned(colour, 0.82), count=10), Mark((zigzag,), toned(rim, 1.2), 0.03))
    skin = mixed((236, 228, 208), coat(rng, vivid=0.2), 0.25)
    stick, wood = rng.uniform(-25, 25), coat(rng, vivid=0.0)
    sticks = []
    for side in (-1, 1):
        rod = [
            Part(limb(points((0, 0), (0, -0.9)), (0.03, 0.04)), wood),
            Part(ellipse(0, 0, 0.06, 0.08), toned(wood, 1.15)),
        ]
        sticks += placed(rod, shift=(side * 0.15, 0.02), angle=side * rng.uniform(30, 55) + 0.4 * stick)
    return [
        Part(shell, colour, lacing, roundness=0.9),
        Part(hoop, rim), Part(ellipse(0, 0, 0.74, tilt + 0.03), rim),
        Part(ellipse(0, -0.01, 0.66, tilt - 0.02), skin, speckle(rng, shell, skin, count=20), roundness=0.25),
        Part(top_hoop, toned(rim, 0.85)),
        *sticks,
    ]  # fmt: skip
