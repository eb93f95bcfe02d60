"""Sceneries with a sky near people: lawn, sky and road. Each returns a new frame `h w 3`."""

import numpy as np

from bgdata.synthetic import brushes
from bgdata.synthetic.brushes import Frame
from bgdata.synthetic.shapes import Colour, curve, limb, points
from bgdata.synthetic.textures import coat, mixed, toned, varied

_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((70, 130, 206), (186, 214, 236)), ((40, 92, 178), (140, 192, 228)), ((158, 170, 182), (214, 218, 220)),
    ((72, 70, 122), (240, 168, 112)), ((120, 100, 150), (250, 204, 160)), ((24, 34, 66), (84, 92, 128)),
    ((104, 148, 160), (226, 226, 204)),
)  # fmt: skip


def draw_lawn(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw a lawn with trees, and often a house and a picket fence."""
    frame = open_sky(rng, size)
    wide, _ = brushes.extent(frame)
    horizon = rng.uniform(0.32, 0.58)
    _treeline(rng, frame, horizon)
    if rng.random() < 0.6:
        _house(rng, frame, horizon)
    grass: tuple[Colour, ...] = ((74, 132, 52), (116, 150, 60), (150, 146, 76), (52, 104, 62), (96, 126, 88))
    green = varied(grass[int(rng.integers(len(grass)))], rng, amount=1.0)
    if rng.random() < 0.65:
        _fence(rng, frame, horizon)
    _, high = brushes.extent(frame)
    brushes.polygon(
        frame, points((0, horizon), (wide, horizon + rng.uniform(-0.03, 0.03)), (wide, high), (0, high)), green
    )
    if rng.random() < 0.35:  # mown in strips that meet at a far point
        vanish, foot = rng.uniform(0, wide), np.linspace(-1.5, 2.5 + wide, 14)
        for left, right in zip(foot[::2], foot[1::2], strict=True):
            strip = points((vanish, horizon + 0.02), (left, high), (right, high))
            brushes.polygon(frame, strip, toned(green, 0.9))
    brushes.mottled(frame, brushes.fractal_noise(rng, size, cells=8), amount=0.2, top=horizon)
    tones = (toned(green, 0.62), toned(green, 0.85), toned(green, 1.2))
    brushes.blades(rng, frame, tones, top=horizon, count=130, length=0.05)
    if rng.random() < 0.4:
        bloom = coat(rng, vivid=0.9)
        for x, y in rng.uniform((0, horizon + 0.05), (wide, high), (24, 2)):
            brushes.disc(frame, x, y, 0.004 + 0.008 * (y - horizon), bloom)
    return frame


def _treeline(rng: np.random.Generator, frame: Frame, horizon: float) -> None:
    """Draw a row of round bushes or trees on the horizon."""
    wide, _ = brushes.extent(frame)
    green = varied((62, 96, 54), rng, amount=2.0)
    for x in np.arange(-0.05, wide + 0.1, rng.uniform(0.08, 0.16)):
        radius, tone = rng.uniform(0.05, 0.16), rng.uniform(0.6, 1.1)
        for dx, dy, light in ((0, 0, 0.8), (-0.2, -0.3, 1.0), (0.1, -0.5, 1.15)):
            brushes.disc(
                frame,
                x + dx * radius,
                horizon - 0.02 + dy * radius,
                radius * (0.6 if dy else 1),
                toned(green, tone * light),
            )


def _house(rng: np.random.Generator, frame: Frame, horizon: float) -> None:
    """Draw a house with a pitched roof, windows and a door."""
    wide, _ = brushes.extent(frame)
    x, half, tall = rng.uniform(0.1, wide - 0.1), rng.uniform(0.18, 0.38), rng.uniform(0.16, 0.3)
    wall, roof = toned(coat(rng, vivid=0.2), 1.3), toned(coat(rng, vivid=0.3), 0.8)
    eave = horizon - tall
    brushes.box(frame, x - half, eave, x + half, horizon + 0.02, wall)
    boards = [points((x - half, y), (x + half, y)) for y in np.arange(eave, horizon, 0.025)]
    brushes.lines(frame, boards, toned(wall, 0.88), 0.003)
    brushes.polygon(
        frame,
        points(
            (x - half - 0.05, eave),
            (x - 0.5 * half, eave - 0.16),
            (x + 0.5 * half, eave - 0.16),
            (x + half + 0.05, eave),
        ),
        roof,
    )
    for dx in (-0.65, 0.0, 0.65):
        left, top = x + dx * half - 0.04, eave + 0.05
        brushes.box(frame, left - 0.01, top - 0.01, left + 0.09, top + 0.11, (236, 232, 222))
        brushes.box(frame, left, top, left + 0.08, top + 0.1, (74, 88, 104))
        brushes.lines(
            frame,
            [
                points((left + 0.04, top), (left + 0.04, top + 0.1)),
                points((left, top + 0.05), (left + 0.08, top + 0.05)),
            ],
            (236, 232, 222),
            0.006,
        )


def _fence(rng: np.random.Generator, frame: Frame, horizon: float) -> None:
    """Draw a picket fence that stands on the horizon."""
    wide, _ = brushes.extent(frame)
    paint = toned(coat(rng, vivid=0.15), rng.uniform(0.8, 1.7))
    pitch, tall = rng.uniform(0.05, 0.09), rng.uniform(0.1, 0.2)
    top, foot = horizon - tall + 0.05, horizon + 0.05
    for level in (0.3, 0.7):
        brushes.box(frame, 0, top + level * tall - 0.01, wide, top + level * tall + 0.012, toned(paint, 0.8))
    for x in np.arange(rng.uniform(0, pitch), wide, pitch):
        half = 0.32 * pitch
        brushes.polygon(
            frame,
            points((x - half, foot), (x - half, top), (x, top - 0.025), (x + half, top), (x + half, foot)),
            toned(paint, rng.uniform(0.9, 1.0)),
        )


def draw_sky(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw a sky with heaped clouds, often with far hills below or leafy branches at a side."""
    top, bottom = _SKIES[int(rng.integers(len(_SKIES)))]
    frame = brushes.graded(size, varied(top, rng, amount=1.0), varied(bottom, rng, amount=0.7))
    wide, high = brushes.extent(frame)
    if rng.random() < 0.3:
        x, y = rng.uniform(0, wide), rng.uniform(0, 0.5)
        for radius in (0.14, 0.1, 0.07):
            brushes.disc(frame, x, y, radius, mixed(bottom, (255, 246, 216), 1.1 - 5 * radius))
    clouds = brushes.fractal_noise(rng, size, cells=3, octaves=4, stretch=rng.uniform(1, 1.8))
    level = np.float32(rng.uniform(0.38, 0.62))
    brushes.veiled(frame, (clouds - level) * 5, mixed(bottom, (252, 250, 250), 0.75))
    shade = np.roll(clouds, -max(1, size[0] // 24), axis=0)
    brushes.veiled(
        frame,
        np.minimum((clouds - level) * 4, (shade - level) * 2.2) * np.float32(0.6),
        mixed(top, (150, 150, 164), 0.6),
    )
    if rng.random() < 0.4:
        tone = mixed(varied((70, 92, 84), rng, amount=1.5), bottom, 0.4)
        for level_y in (0.84, 0.93):
            brushes.polygon(frame, brushes.ridge(rng, frame, high - 1 + level_y, 0.1), toned(tone, 1.75 - level_y))
    if rng.random() < 0.6:
        _branches(rng, frame)
    return frame


def open_sky(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw a plain sky with thin clouds."""
    top, bottom = _SKIES[int(rng.integers(len(_SKIES)))]
    frame = brushes.graded(size, varied(top, rng, amount=0.8), varied(bottom, rng, amount=0.5))
    clouds = brushes.fractal_noise(rng, size, cells=2, octaves=3, stretch=2.0)
    brushes.veiled(frame, (clouds - np.float32(rng.uniform(0.4, 0.8))) * 2, mixed(bottom, (255, 255, 255), 0.6))
    return frame


def _branches(rng: np.random.Generator, frame: Frame) -> None:
    """Draw branches with leaves that reach in from one side."""
    wide, high = brushes.extent(frame)
    bark = varied((74, 56, 44), rng, amount=1.0)
    leaf_tones = [
        varied(((86, 128, 58), (176, 120, 50), (216, 150, 168))[int(rng.integers(3))], rng, amount=0.8)
        for _ in range(3)
    ]
    side, way = (0.0, 1) if rng.random() < 0.5 else (wide, -1)
    for _ in range(int(rng.integers(1, 4))):
        y, reach, droop = rng.uniform(0, high), rng.uniform(0.4, 1.0), rng.uniform(-0.25, 0.2)
        path = curve(
            points((side - 0.05 * way, y), (side + 0.5 * reach * way, y + 0.7 * droop), (side + reach * way, y + droop))
        )
        brushes.polygon(frame, limb(path[::3], (0.026, 0.016, 0.005)), bark)
        for knot in path[2:]:
            turn = rng.uniform(0, 6.3)
            tip = knot + 0.1 * np.array([np.cos(turn), np.sin(turn)])
            brushes.lines(frame, [np.stack([knot, tip])], bark, 0.006)
            leaf = np.linspace(0, 1, 4)[:, None] * (tip - knot) * 1.4
            brushes.polygon(frame, limb(knot + leaf, (0.004, 0.026, 0.022, 0.002)), leaf_tones[int(rng.integers(3))])


def draw_road(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw a street: a row of house fronts, a pavement and an asphalt road with lane marks."""
    frame = open_sky(rng, size)
    wide, high = brushes.extent(frame)
    horizon, night = rng.uniform(0.4, 0.6), rng.random() < 0.2
    if night:
        frame[:] = frame // 3
    x = rng.uniform(-0.2, 0)
    while x < wide:
        width = rng.uniform(0.14, 0.4)
        _front(rng, frame, (x, horizon - rng.uniform(0.14, 0.6), x + width, horizon), night=night)
        x += width + (rng.uniform(0.02, 0.1) if rng.random() < 0.3 else 0.0)
    kerb, grey = horizon + rng.uniform(0.04, 0.1), varied((96, 96, 100), rng, amount=1.2)
    brushes.box(frame, 0, horizon, wide, kerb, toned(grey, 1.35))
    flags = [points((s, horizon), (s + 0.04, kerb)) for s in np.arange(-0.1, wide, 0.09)]
    brushes.lines(frame, flags, grey, 0.004)
    brushes.box(frame, 0, kerb, wide, high, grey)
    brushes.box(frame, 0, kerb, wide, kerb + 0.018, toned(grey, 0.6))
    paint: Colour = (226, 220, 200) if rng.random() < 0.6 else (214, 178, 70)
    level, slope, dash = rng.uniform(kerb + 0.12, high - 0.05), rng.uniform(-0.12, 0.12), rng.uniform(0.12, 0.3)
    for s in np.arange(-0.1, wide, 1.7 * dash):
        rise = slope * s
        brushes.polygon(
            frame,
            points(
                (s, level + rise),
                (s + dash, level + rise + slope * dash),
                (s + dash - 0.02, level + rise + 0.03),
                (s - 0.02, level + rise + 0.03),
            ),
            paint,
        )
    brushes.mottled(frame, brushes.fractal_noise(rng, size, cells=14), amount=0.16, top=kerb)
    for post in rng.uniform(0, wide, int(rng.integers(0, 3))):
        brushes.lines(
            frame, [points((post, kerb), (post, kerb - 0.5), (post + 0.08, kerb - 0.52))], (58, 60, 62), 0.014
        )
        brushes.disc(frame, post + 0.09, kerb - 0.51, 0.02, (250, 230, 170))
    return frame


def _front(rng: np.random.Generator, frame: Frame, front: tuple[float, float, float, float], *, night: bool) -> None:
    """Draw a house front with rows of windows in the box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = front
    wall = toned(coat(rng, vivid=0.15), 0.4 if night else rng.uniform(0.9, 1.3))
    brushes.box(frame, x0, y0, x1, y1, wall)
    brushes.box(frame, x0, y0, x1, y0 + 0.014, toned(wall, 0.7))
    columns, rows = max(2, round((x1 - x0) / 0.08)), max(1, round((y1 - y0 - 0.06) / rng.uniform(0.07, 0.11)))
    step_x, step_y = (x1 - x0) / columns, (y1 - y0 - 0.06) / rows
    for i in range(columns):
        for j in range(rows):
            lit = rng.random() < (0.45 if night else 0.08)
            pane: Colour = (
                (244, 208, 120) if lit else toned((84, 98, 112), rng.uniform(0.5, 1.2) * (0.5 if night else 1))
            )
            left, top = x0 + (i + 0.25) * step_x, y0 + 0.03 + (j + 0.2) * step_y
            brushes.box(frame, left, top, left + 0.5 * step_x, top + 0.6 * step_y, pane)
