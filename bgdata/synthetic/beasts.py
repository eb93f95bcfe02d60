"""Drawings of dogs, big cats and primates. Each faces right, in free units with y down."""

import numpy as np

from bgdata.synthetic.shapes import Colour, Mark, Part, Points, blob, curve, ellipse, limb, placed, points
from bgdata.synthetic.textures import coat, contrasting, fur, mixed, stripes, toned, varied

_BLACK: Colour = (22.0, 20.0, 22.0)


def draw_retriever(rng: np.random.Generator) -> list[Part]:
    """Draw a long-legged dog with a raised head and hanging ears (Labrador retriever)."""
    colour = coat(rng, vivid=0.06)
    return _dog(rng, colour, leg=rng.uniform(0.5, 0.66), depth=rng.uniform(0.9, 1.15), ear=rng.uniform(0.8, 1.05))


def draw_basset(rng: np.random.Generator) -> list[Part]:
    """Draw a short-legged, long-eared dog with a saddle of a second colour (basset)."""
    colour = coat(rng, vivid=0.06)
    leg = rng.uniform(0.28, 0.36)
    return _dog(rng, colour, leg=leg, depth=rng.uniform(1.0, 1.2), ear=rng.uniform(1.35, 1.7), saddle=True)


def _dog(
    rng: np.random.Generator, colour: Colour, *, leg: float, depth: float, ear: float, saddle: bool = False
) -> list[Part]:
    """Draw a dog; `leg` is the leg's length, `depth` and `ear` scale the body's depth and the ear's length."""
    body = blob(
        (-0.72, -0.14), (-0.5, -0.25), (0.0, -0.2), (0.36, -0.3), (0.58, -0.12), (0.54, 0.14),
        (0.28, 0.25), (-0.12, 0.13), (-0.45, 0.08), (-0.7, 0.1),
    ) * (1, depth)  # fmt: skip
    lower = mixed(colour, (240, 232, 215), 0.8)
    patch = (
        Mark((blob((-0.6, -0.5), (0.4, -0.5), (0.3, 0.05), (-0.1, 0.0), (-0.5, 0.06)),), contrasting(colour, rng)),
    )
    coat_marks = (patch if saddle else ()) + fur(rng, body, colour)
    tail = limb(points((-0.68, -0.12), (-0.92, -0.3), (-0.98, rng.uniform(-0.75, -0.5))), (0.07, 0.05, 0.02))
    legs = lower if saddle else colour
    swing = rng.uniform(-0.2, 0.2)
    nod = rng.uniform(-14, 16)
    neck = limb(points((0.36, -0.08), (0.56, -0.3), (0.7, -0.54)), (0.26, 0.19, 0.15))
    return [
        Part(tail, toned(colour, 0.9)),
        *_dog_leg(0.36 - swing, 0.1, leg, hind=False, colour=toned(legs, 0.68)),
        *_dog_leg(-0.5 + swing, 0.05, leg, hind=True, colour=toned(legs, 0.68)),
        Part(body, colour, coat_marks),
        *_dog_leg(0.44 + swing, 0.1, leg, hind=False, colour=legs),
        *_dog_leg(-0.58 - swing, 0.0, leg, hind=True, colour=legs),
        Part(neck, colour, fur(rng, neck, colour, lean=(-0.4, 0.8))),
        *placed(_dog_head(rng, colour, ear=ear, muzzle=lower if saddle else colour), shift=(0.7, -0.56), angle=nod),
    ]


def _dog_leg(x: float, y: float, length: float, *, hind: bool, colour: Colour) -> list[Part]:
    """Draw a leg from the hip at (x, y); a hind leg has a thigh and a hock."""
    foot = y + length
    paw = Part(
        blob(
            (x - 0.07, foot),
            (x, foot - 0.07),
            (x + 0.12, foot - 0.03),
            (x + 0.13, foot + 0.03),
            (x - 0.06, foot + 0.03),
        ),
        colour,
    )
    if hind:
        path = points((x, y), (x + 0.08, y + 0.45 * length), (x - 0.08, y + 0.7 * length), (x, foot))
        return [paw, Part(limb(path, (0.19, 0.12, 0.06, 0.055)), colour)]
    return [paw, Part(limb(points((x, y), (x + 0.01, y + 0.5 * length), (x, foot)), (0.13, 0.085, 0.06)), colour)]


def _dog_head(rng: np.random.Generator, colour: Colour, *, ear: float, muzzle: Colour) -> list[Part]:
    """Draw a dog's head in profile about the origin."""
    drop = 0.36 * ear
    flap = blob((-0.1, -0.14), (0.02, -0.13), (0.04, 0.05), (0.0, drop), (-0.1, drop + 0.03), (-0.16, 0.08))
    length = rng.uniform(0.3, 0.42)
    snout = limb(points((0.06, 0.04), (length, 0.1)), (0.13, 0.085))
    mouth = Mark((points((length + 0.05, 0.13), (0.24, 0.16), (0.15, 0.12)),), toned(muzzle, 0.35), 0.018)
    return [
        Part(ellipse(0.0, -0.02, 0.19, 0.165), colour),
        Part(snout, muzzle, (mouth,)),
        Part(ellipse(length + 0.06, 0.05, 0.045, 0.035), _BLACK, roundness=0.3),
        *_eye(0.1, -0.06, 0.028),
        Part(flap, toned(colour, 0.62), fur(rng, flap, toned(colour, 0.62), lean=(0, 1))),
    ]


def _eye(x: float, y: float, radius: float, *, iris: Colour = _BLACK) -> list[Part]:
    """Draw a round eye with a highlight."""
    glint = Mark((ellipse(x + 0.3 * radius, y - 0.35 * radius, 0.35 * radius, 0.35 * radius),), (240, 240, 240))
    pupil = Mark((ellipse(x, y, 0.6 * radius, 0.75 * radius),), _BLACK)
    return [Part(ellipse(x, y, radius, radius), iris, (pupil, glint), roundness=0.0)]


def draw_tiger(rng: np.random.Generator) -> list[Part]:
    """Draw a striped big cat walking with a low head (tiger)."""
    colour = coat(rng, vivid=0.06)
    return _cat(rng, colour, pattern=contrasting(colour, rng), mane=False)


def draw_lion(rng: np.random.Generator) -> list[Part]:
    """Draw a maned big cat with a tufted tail (lion)."""
    colour = coat(rng, vivid=0.06)
    return _cat(rng, colour, pattern=varied(toned(colour, 0.55), rng, amount=1.0), mane=True)


def _cat(rng: np.random.Generator, colour: Colour, *, pattern: Colour, mane: bool) -> list[Part]:
    """Draw a big cat with its face turned to the viewer."""
    body = blob(
        (-0.82, -0.08), (-0.66, -0.26), (-0.25, -0.22), (0.15, -0.24), (0.42, -0.34), (0.66, -0.16),
        (0.62, 0.14), (0.3, 0.2), (-0.15, 0.24), (-0.55, 0.16), (-0.8, 0.12),
    )  # fmt: skip
    marks = fur(rng, body, colour) + (() if mane else stripes(rng, body, pattern, count=int(rng.integers(9, 13))))
    swing, leg = rng.uniform(-0.22, 0.22), rng.uniform(0.4, 0.5)
    far, lift = toned(colour, 0.66), rng.uniform(-0.5, 0.3)
    path = points((-0.76, -0.08), (-1.08, 0.1), (-1.24, 0.22 + 0.2 * lift), (-1.46, 0.12 + lift * 0.6), (-1.52, lift))
    tail = limb(path, (0.075, 0.06, 0.05, 0.045, 0.04))
    rings = () if mane else stripes(rng, tail, pattern, count=8)
    tuft = [Part(ellipse(-1.52, lift - 0.05, 0.07, 0.13, angle=-15), toned(pattern, 0.8))] if mane else []
    nod, place = rng.uniform(-12, 12), (rng.uniform(0.72, 0.8), rng.uniform(-0.34, -0.12))
    return [
        Part(tail, colour, rings), *tuft,
        *_cat_leg(rng, 0.4 - swing, leg, far, pattern, striped=not mane),
        *_cat_leg(rng, -0.52 + swing, leg, far, pattern, striped=not mane),
        Part(body, colour, marks),
        *_cat_leg(rng, 0.5 + swing, leg, colour, pattern, striped=not mane),
        *_cat_leg(rng, -0.64 - swing, leg, colour, pattern, striped=not mane),
        *placed(_cat_head(rng, colour, pattern, mane=mane), shift=place, angle=nod),
    ]  # fmt: skip


def _cat_leg(
    rng: np.random.Generator, x: float, length: float, colour: Colour, pattern: Colour, *, striped: bool
) -> list[Part]:
    """Draw a thick leg with a broad paw below the body at x."""
    foot = 0.08 + length
    outline = limb(points((x, 0.0), (x + 0.03, 0.08 + 0.5 * length), (x, foot)), (0.17, 0.11, 0.08))
    bands = tuple(points((x - 0.2, y), (x + 0.02, y + 0.02)) for y in np.linspace(0.08, foot - 0.08, 4))
    marks = (Mark(bands, toned(pattern, 0.9), 0.035),) if striped else fur(rng, outline, colour, lean=(0, 1))
    paw = blob((x - 0.1, foot + 0.03), (x - 0.06, foot - 0.06), (x + 0.1, foot - 0.06), (x + 0.17, foot + 0.02))
    return [Part(outline, colour, marks), Part(paw, toned(colour, 1.08))]


def _cat_head(rng: np.random.Generator, colour: Colour, pattern: Colour, *, mane: bool) -> list[Part]:
    """Draw a round cat's face about the origin, with a mane or with striped cheeks."""
    pale, wide = mixed(colour, (248, 240, 224), 0.7), rng.uniform(0.26, 0.3)
    face = blob(
        (-wide, 0.0), (-0.2, -0.21), (0, -0.26), (0.2, -0.21), (wide, 0.0), (0.22, 0.17), (0, 0.25), (-0.22, 0.17)
    )
    parts = [_mane(rng, pattern)] if mane else []
    for side in (-1, 1):
        ear = Mark((ellipse(side * 0.2, -0.2, 0.05, 0.05),), toned(pale, 0.7))
        parts.append(Part(ellipse(side * 0.2, -0.23, 0.095, 0.095), toned(colour, 0.85), (ear,)))
    streaks = tuple(
        points((s * x, y), (s * (x + 0.12), y - 0.04))
        for s in (-1, 1)
        for x, y in ((0.16, 0.02), (0.16, 0.1), (0.1, -0.15))
    )
    brow = (
        points((0, -0.26), (0, -0.14)),
        points((-0.05, -0.24), (-0.04, -0.16)),
        points((0.05, -0.24), (0.04, -0.16)),
    )
    marks = () if mane else (Mark(streaks + brow, pattern, 0.032),)
    parts.append(Part(face, colour, marks))
    parts.append(
        Part(blob((-0.14, 0.1), (0, 0.02), (0.14, 0.1), (0.11, 0.21), (0, 0.25), (-0.11, 0.21)), pale, roundness=0.5)
    )
    parts += _eye(-0.11, -0.05, 0.04, iris=(214, 176, 60)) + _eye(0.11, -0.05, 0.04, iris=(214, 176, 60))
    mouth = (points((0, 0.1), (0, 0.16)), points((-0.08, 0.18), (0, 0.16), (0.08, 0.18)))
    lips = (Mark(mouth, _BLACK, 0.02),)
    nose = points((-0.06, 0.05), (0.06, 0.05), (0.0, 0.11))
    return [
        *parts,
        Part(ellipse(0, 0.14, 0.09, 0.07), pale, lips, roundness=0.0),
        Part(nose, (120, 62, 60), roundness=0.3),
    ]


def _mane(rng: np.random.Generator, colour: Colour) -> Part:
    """Draw a shaggy ring of hair about the origin."""
    turns = np.linspace(0, 2 * np.pi, 44, endpoint=False)
    reach = np.where(np.arange(44) % 2, 0.42, 0.5) + rng.normal(0, 0.015, 44)
    outline = np.stack([reach * np.cos(turns), 1.12 * reach * np.sin(turns) + 0.05], axis=1)
    locks = tuple(np.stack([0.25 * tip, 0.95 * tip]) for tip in outline)
    return Part(
        outline, colour, (Mark(locks[::2], toned(colour, 0.7), 0.02), Mark(locks[1::2], toned(colour, 1.15), 0.02))
    )


def draw_chimpanzee(rng: np.random.Generator) -> list[Part]:
    """Draw an ape that sits facing the viewer, its long arms on its knees (chimpanzee)."""
    colour = coat(rng, vivid=0.06)
    skin = mixed(coat(rng, vivid=0.0), (206, 160, 124), 0.65)
    torso = blob(
        (-0.3, -0.28), (0, -0.36), (0.3, -0.28), (0.38, 0.15), (0.34, 0.46), (0, 0.55), (-0.34, 0.46), (-0.38, 0.15)
    )
    belly = Mark((ellipse(0, 0.16, 0.2, 0.3),), mixed(colour, skin, 0.45))
    parts = [Part(torso, colour, (belly, *fur(rng, torso, colour, lean=(0, 1))))]
    raised = int(rng.integers(3))  # 0: both hands rest, 1 or 2: one arm is up
    for side in (-1, 1):
        knee = (side * rng.uniform(0.5, 0.62), rng.uniform(0.14, 0.28))
        leg = limb(points((side * 0.22, 0.42), knee, (side * 0.42, 0.62)), (0.18, 0.14, 0.08))
        parts += [Part(leg, toned(colour, 0.88), fur(rng, leg, colour, lean=(0, 1)))]
        parts += [Part(ellipse(side * 0.46, 0.65, 0.17, 0.075, angle=side * 12), skin)]
        up = raised == (1 if side < 0 else 2)
        hand = (side * 0.62, -0.86) if up else (side * rng.uniform(0.44, 0.6), rng.uniform(0.28, 0.4))
        elbow = (side * 0.68, -0.36) if up else (side * rng.uniform(0.6, 0.72), -0.02)
        arm = limb(points((side * 0.26, -0.2), elbow, hand), (0.13, 0.1, 0.075))
        parts += [Part(arm, colour, fur(rng, arm, colour, lean=(0, 1))), Part(_hand(hand), skin)]
    return [
        *parts,
        *placed(_ape_head(rng, colour, skin), shift=(rng.uniform(-0.05, 0.05), -0.52), angle=rng.uniform(-14, 14)),
    ]


def draw_spider_monkey(rng: np.random.Generator) -> list[Part]:
    """Draw a slender monkey that hangs by its long arms, with a long curled tail (spider monkey)."""
    colour = coat(rng, vivid=0.06)
    skin = mixed(coat(rng, vivid=0.0), (214, 168, 134), 0.6)
    sway = rng.uniform(-0.15, 0.15)
    torso = limb(points((0, -0.25), (0.02 + sway, 0.08), (sway, 0.36)), (0.2, 0.2, 0.17))
    turn = np.linspace(0, rng.uniform(4.5, 7.5), 12)
    curl = np.stack([0.5 - 0.05 * turn + 0.17 * np.sin(turn), 0.32 - 0.17 * np.cos(turn) + 0.17], axis=1)
    tail = limb(np.concatenate([points((sway, 0.42), (0.25, 0.6)), curl]), (0.06, 0.055, 0.05, 0.035))
    parts = [Part(tail, toned(colour, 0.8))]
    for side in (-1, 1):
        foot = (side * rng.uniform(0.25, 0.5) + sway, rng.uniform(0.8, 1.0))
        knee = (side * rng.uniform(0.34, 0.5) + sway, rng.uniform(0.5, 0.62))
        leg = limb(points((sway + side * 0.08, 0.36), knee, foot), (0.12, 0.085, 0.055))
        parts += [
            Part(leg, toned(colour, 0.85), fur(rng, leg, colour, lean=(0, 1))),
            Part(ellipse(*foot, 0.1, 0.055), skin),
        ]
        hand = (side * rng.uniform(0.3, 0.55), rng.uniform(-1.15, -0.95))
        if side < 0 and rng.random() < 0.4:
            hand = (-0.72, rng.uniform(-0.1, 0.2))
        elbow = (side * rng.uniform(0.5, 0.58), min(-0.2, hand[1] + 0.5))
        arm = limb(points((side * 0.13, -0.22), elbow, hand), (0.1, 0.075, 0.055))
        parts += [Part(arm, toned(colour, 0.95), fur(rng, arm, colour, lean=(0, 1))), Part(_hand(hand), skin)]
    parts.append(Part(torso, colour, fur(rng, torso, colour, lean=(0, 1))))
    return [*parts, *placed(_ape_head(rng, colour, skin), shift=(0, -0.42), angle=rng.uniform(-20, 20), scale=0.82)]


def _hand(at: tuple[float, float]) -> Points:
    """Return the outline of a closed hand."""
    x, y = at
    return blob((x - 0.08, y - 0.05), (x, y - 0.08), (x + 0.08, y - 0.05), (x + 0.07, y + 0.06), (x - 0.07, y + 0.06))


def _ape_head(rng: np.random.Generator, colour: Colour, skin: Colour) -> list[Part]:
    """Draw a primate's face about the origin: side ears, a bare heart-shaped face and a broad muzzle."""
    skull = ellipse(0, -0.03, 0.27, 0.29)
    face = blob(
        (0, -0.1),
        (0.1, -0.17),
        (0.2, -0.1),
        (0.17, 0.06),
        (0.19, 0.17),
        (0, 0.27),
        (-0.19, 0.17),
        (-0.17, 0.06),
        (-0.2, -0.1),
        (-0.1, -0.17),
    )
    mouth = curve(points((-0.12, 0.16), (0, 0.2), (0.12, 0.16)))
    nostrils = tuple(ellipse(s * 0.03, 0.06, 0.014, 0.012) for s in (-1, 1))
    muzzle = (Mark((mouth,), toned(skin, 0.4), 0.02), Mark(nostrils, toned(skin, 0.3)))
    ears = [Part(ellipse(s * 0.29, -0.02, 0.08, 0.1), skin) for s in (-1, 1)]
    return [
        *ears,
        Part(skull, colour, fur(rng, skull, colour, lean=(0, -0.8))),
        Part(face, skin, roundness=0.6),
        Part(ellipse(0, 0.13, 0.17, 0.125), toned(skin, 1.1), muzzle, roundness=0.6),
        *_eye(-0.085, -0.06, 0.034, iris=(110, 70, 40)),
        *_eye(0.085, -0.06, 0.034, iris=(110, 70, 40)),
    ]
