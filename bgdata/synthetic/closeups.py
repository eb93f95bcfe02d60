"""Close sceneries: leaves and flowers, room or stage, and under water. Each returns a new frame `h w 3`."""

import numpy as np

from bgdata.synthetic import brushes
from bgdata.synthetic.brushes import Frame
from bgdata.synthetic.shapes import Colour, Points, curve, ellipse, limb, points
from bgdata.synthetic.textures import coat, mixed, toned, varied


def draw_leaves(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw big leaves with veins, and often flowers, before a blurred green depth."""
    greens: tuple[Colour, ...] = (
        (72, 124, 50),
        (116, 148, 62),
        (44, 92, 60),
        (150, 140, 66),
        (158, 92, 58),
        (106, 142, 112),
    )
    green = varied(greens[int(rng.integers(len(greens)))], rng, amount=1.2)
    frame = brushes.graded(size, toned(green, rng.uniform(0.3, 1.2)), toned(green, rng.uniform(0.3, 1.0)))
    wide, high = brushes.extent(frame)
    for x, y in rng.uniform((0, 0), (wide, high), (12, 2)):
        brushes.disc(frame, x, y, rng.uniform(0.05, 0.16), varied(toned(green, rng.uniform(0.6, 1.4)), rng, amount=1.0))
    for _ in range(6):
        _leaf(rng, frame, toned(green, rng.uniform(0.5, 0.8)))
    brushes.softened(frame, 0.018)
    for _ in range(int(rng.integers(5, 11))):
        _leaf(rng, frame, varied(green, rng, amount=1.2))
    if rng.random() < 0.65:
        petal, heart = coat(rng, vivid=0.85), coat(rng, vivid=0.6)
        for x, y in rng.uniform((0, 0), (wide, high), (int(rng.integers(1, 5)), 2)):
            _flower(rng, frame, x, y, petal, heart)
    return frame


def _leaf(rng: np.random.Generator, frame: Frame, colour: Colour) -> None:
    """Draw one pointed leaf with a midrib and side veins anywhere on the frame."""
    wide, high = brushes.extent(frame)
    foot, turn, length = (
        rng.uniform((-0.1, -0.1), (wide + 0.1, high + 0.1)),
        rng.uniform(0, 6.3),
        rng.uniform(0.25, 0.6),
    )
    along = np.array([np.cos(turn), np.sin(turn)]) * length
    across = np.array([-along[1], along[0]]) * rng.uniform(0.2, 0.34)
    bend = across * rng.uniform(-0.5, 0.5)
    rib = curve(np.stack([foot, foot + 0.5 * along + bend, foot + along]))
    swell = np.sin(np.linspace(0, np.pi, len(rib)) ** 0.9 * np.pi**0.1)[:, None] * across
    brushes.polygon(frame, np.concatenate([rib + swell, (rib - swell)[::-1]]), toned(colour, 0.92))
    brushes.polygon(frame, np.concatenate([rib, (rib - swell)[::-1]]), toned(colour, 1.06))
    veins = [
        np.stack([rib[i], rib[min(i + 3, len(rib) - 1)] + s * 0.8 * swell[min(i + 1, len(rib) - 1)]])
        for i in range(1, len(rib) - 2, 2)
        for s in (-1, 1)
    ]
    brushes.lines(frame, veins, toned(colour, 1.25), 0.004)
    brushes.lines(frame, [rib], toned(colour, 1.4), 0.009)


def _flower(rng: np.random.Generator, frame: Frame, x: float, y: float, petal: Colour, heart: Colour) -> None:
    """Draw a round flower about (x, y)."""
    radius, count = rng.uniform(0.06, 0.15), int(rng.integers(5, 12))
    for turn in np.linspace(0, 360, count, endpoint=False) + rng.uniform(0, 60):
        shift = 0.62 * radius * np.array([np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))])
        width = min(0.34, 2.0 / count) * radius
        brushes.polygon(
            frame, ellipse(x, y, 0.5 * radius, width, angle=turn) + shift, toned(petal, rng.uniform(0.85, 1.1))
        )
    brushes.disc(frame, x, y, 0.26 * radius, toned(heart, 0.8))
    brushes.disc(frame, x - 0.05 * radius, y - 0.06 * radius, 0.17 * radius, heart)


def draw_room(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw a room or a stage: a papered, panelled, brick or curtained wall above a floor of planks."""
    wall = varied(toned(coat(rng, vivid=0.3), rng.uniform(0.7, 1.4)), rng, amount=0.5)
    frame = brushes.graded(size, toned(wall, 0.85), wall)
    wide, high = brushes.extent(frame)
    edge, style = rng.uniform(0.5, 0.74), int(rng.integers(4))
    (_striped_wall, _brick_wall, _panelled_wall, _curtain)[style](rng, frame, wall, edge)
    if style != 3:
        for x in rng.uniform(0.1, wide - 0.1, int(rng.integers(1, 4))):
            _picture(rng, frame, x, rng.uniform(0.12, 0.3))
    wood = varied(
        ((150, 102, 62), (98, 66, 46), (190, 156, 112), (112, 108, 104))[int(rng.integers(4))], rng, amount=1.0
    )
    brushes.box(frame, 0, edge, wide, high, wood)
    vanish = rng.uniform(0.2, wide - 0.2)
    foot = np.arange(-2.0, wide + 2.0, rng.uniform(0.12, 0.24))
    brushes.lines(
        frame, [points((vanish + 0.3 * (f - vanish), edge), (f, high)) for f in foot], toned(wood, 0.6), 0.005
    )
    brushes.box(frame, 0, edge - 0.03, wide, edge, toned(wall, 1.3) if rng.random() < 0.5 else toned(wood, 0.7))
    if rng.random() < 0.4:
        rug = coat(rng, vivid=0.5)
        for scale, tone in ((1.0, 1.0), (0.86, 1.3), (0.8, 0.85)):
            brushes.polygon(
                frame, ellipse(vanish, (edge + high) / 2 + 0.04, 0.5 * scale, 0.14 * scale), toned(rug, tone)
            )
    brushes.mottled(frame, brushes.fractal_noise(rng, size, cells=6, stretch=2.0), amount=0.1)
    if style == 3 or rng.random() < 0.3:
        _spotlight(rng, frame)
    return frame


def _striped_wall(rng: np.random.Generator, frame: Frame, wall: Colour, edge: float) -> None:
    """Draw wallpaper with upright stripes."""
    wide, _ = brushes.extent(frame)
    pitch, tone = rng.uniform(0.05, 0.14), varied(toned(wall, rng.uniform(0.75, 1.25)), rng, amount=1.0)
    for x in np.arange(0, wide, 2 * pitch):
        brushes.box(frame, x, 0, x + pitch, edge, tone)


def _brick_wall(rng: np.random.Generator, frame: Frame, wall: Colour, edge: float) -> None:
    """Draw rows of bricks with mortar between them."""
    wide, _ = brushes.extent(frame)
    tall = rng.uniform(0.045, 0.07)
    for row, y in enumerate(np.arange(0, edge, tall)):
        for x in np.arange(-tall * (1 + row % 2), wide, 2 * tall):
            brushes.box(
                frame,
                x + 0.005,
                y + 0.005,
                x + 2 * tall - 0.005,
                y + tall - 0.005,
                toned(wall, rng.uniform(0.65, 0.85)),
            )


def _panelled_wall(rng: np.random.Generator, frame: Frame, wall: Colour, edge: float) -> None:
    """Draw a plain wall with framed panels in its lower part."""
    wide, _ = brushes.extent(frame)
    top, width, panel = edge - rng.uniform(0.18, 0.3), rng.uniform(0.2, 0.4), toned(wall, rng.uniform(0.6, 0.9))
    brushes.box(frame, 0, top, wide, edge, panel)
    for x in np.arange(0, wide, width):
        outline = points(
            (x + 0.03, top + 0.03),
            (x + width - 0.03, top + 0.03),
            (x + width - 0.03, edge - 0.05),
            (x + 0.03, edge - 0.05),
            (x + 0.03, top + 0.03),
        )
        brushes.lines(frame, [outline], toned(panel, 0.7), 0.008)
        brushes.lines(frame, [outline + 0.006], toned(panel, 1.2), 0.004)


def _curtain(rng: np.random.Generator, frame: Frame, _wall: Colour, edge: float) -> None:
    """Draw a stage curtain with folds."""
    wide, _ = brushes.extent(frame)
    x = np.linspace(0, wide, frame.shape[1], dtype=np.float32)
    pace, sway = rng.uniform(35, 70), rng.uniform(0, 4)
    folds = 0.62 + 0.3 * np.sin(pace * x + sway * np.sin(5 * x)) + 0.12 * np.sin(2.7 * pace * x)
    end = int(edge * min(frame.shape[:2]))
    frame[:end] = np.clip(frame[:end] * folds[None, :, None], 0, 255).astype(np.uint8)


def _picture(rng: np.random.Generator, frame: Frame, x: float, y: float) -> None:
    """Draw a framed picture or a window whose upper middle is at (x, y)."""
    half, tall = rng.uniform(0.06, 0.14), rng.uniform(0.12, 0.26)
    border, inside = coat(rng, vivid=0.1), toned(coat(rng, vivid=0.5), 1.3)
    brushes.box(frame, x - half - 0.02, y - 0.02, x + half + 0.02, y + tall + 0.02, border)
    brushes.box(frame, x - half, y, x + half, y + tall, inside)
    if rng.random() < 0.5:
        bars = [points((x, y), (x, y + tall)), points((x - half, y + tall / 2), (x + half, y + tall / 2))]
        brushes.lines(frame, bars, border, 0.014)
    else:
        brushes.box(frame, x - half, y + 0.6 * tall, x + half, y + tall, toned(inside, 0.6))
        brushes.disc(frame, x + 0.3 * half, y + 0.35 * tall, 0.2 * half, toned(inside, 1.5))


def _spotlight(rng: np.random.Generator, frame: Frame) -> None:
    """Darken the frame but for a cone of light and its pool on the floor."""
    wide, high = brushes.extent(frame)
    light = np.full(frame.shape[:2], 0, np.uint8)[..., None].repeat(3, axis=2)
    x, lamp = rng.uniform(0.25, wide - 0.25), rng.uniform(0, wide)
    half = rng.uniform(0.3, 0.5)
    brushes.polygon(
        light,
        points((lamp - 0.03, -0.1), (lamp + 0.03, -0.1), (x + half, high - 0.18), (x - half, high - 0.18)),
        (150, 150, 150),
    )
    brushes.polygon(light, ellipse(x, high - 0.18, half, 0.16), (255, 255, 255))
    brushes.softened(light, 0.04)
    strength = light[..., 0].astype(np.float32) / np.float32(255)
    brushes.mottled(frame, strength, amount=float(rng.uniform(0.25, 0.45)))


def draw_under_water(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw water with rays of light, bubbles, weeds and corals, often over a sandy ground."""
    waters: tuple[Colour, ...] = (
        (40, 122, 172),
        (36, 140, 146),
        (30, 84, 140),
        (70, 130, 110),
        (96, 160, 186),
        (24, 60, 84),
    )
    water = varied(waters[int(rng.integers(len(waters)))], rng, amount=0.8)
    frame = brushes.graded(size, toned(water, rng.uniform(1.15, 1.5)), toned(water, rng.uniform(0.35, 0.8)))
    wide, high = brushes.extent(frame)
    brushes.mottled(frame, brushes.fractal_noise(rng, size, cells=4, stretch=2.0), amount=0.12)
    light_shafts(rng, frame, mixed(water, (236, 250, 250), 0.8), strength=rng.uniform(0.25, 0.55))
    floor = high - rng.uniform(-0.05, 0.3)
    sand = mixed(varied((206, 186, 140), rng, amount=1.0), water, rng.uniform(0.3, 0.6))
    brushes.polygon(frame, brushes.ridge(rng, frame, floor, 0.06), sand)
    brushes.mottled(frame, brushes.fractal_noise(rng, size, cells=10, stretch=2.0), amount=0.14, top=floor)
    for x in rng.uniform(0, wide, int(rng.integers(2, 6))):
        _coral(rng, frame, x, floor + rng.uniform(0.02, 0.15), mixed(coat(rng, vivid=0.8), water, 0.3))
    weed = mixed(varied((70, 120, 60), rng, amount=2.0), water, 0.25)
    for x in rng.uniform(0, wide, int(rng.integers(3, 12))):
        brushes.polygon(frame, _weed(rng, x, floor + rng.uniform(0.05, 0.2)), toned(weed, rng.uniform(0.6, 1.2)))
    for x, y in rng.uniform((0, 0), (wide, high), (int(rng.integers(5, 26)), 2)):
        radius = rng.uniform(0.006, 0.026)
        brushes.disc(frame, x, y, radius, mixed(water, (240, 252, 252), 0.6), width=0.005)
        brushes.disc(frame, x - 0.35 * radius, y - 0.35 * radius, 0.25 * radius, (244, 252, 252))
    return frame


def _weed(rng: np.random.Generator, x: float, y: float) -> Points:
    """Return the outline of a wavy water plant whose foot is at (x, y)."""
    tall, phase = rng.uniform(0.15, 0.55), rng.uniform(0, 6)
    steps = np.linspace(0, 1, 8)
    path = np.stack([x + 0.035 * np.sin(7 * steps + phase) * steps**0.5, y - tall * steps], axis=1)
    return limb(path, (0.016, 0.02, 0.004))


def _coral(rng: np.random.Generator, frame: Frame, x: float, y: float, colour: Colour) -> None:
    """Draw a fan of branches, or a heap of round lobes, whose foot is at (x, y)."""
    if rng.random() < 0.4:
        for dx, dy in rng.uniform((-0.09, -0.08), (0.09, 0), (9, 2)):
            brushes.disc(frame, x + dx, y + dy, rng.uniform(0.02, 0.05), toned(colour, rng.uniform(0.75, 1.15)))
        return
    for turn in np.linspace(-1.1, 1.1, int(rng.integers(4, 8))):
        reach = rng.uniform(0.08, 0.22)
        tip = np.array([x + reach * np.sin(turn), y - reach * np.cos(turn)])
        knots = np.stack([(x, y), (np.array([x, y]) + tip) / 2 + rng.normal(0, 0.01, 2), tip])
        brushes.polygon(frame, limb(knots, (0.02, 0.012, 0.01)), colour)
        twig = np.stack([knots[1], tip + np.array([0.04 * np.sign(turn), 0])])
        brushes.polygon(frame, limb(twig, (0.011, 0.007)), toned(colour, 1.12))


def light_shafts(rng: np.random.Generator, frame: Frame, colour: Colour, *, strength: float) -> None:
    """Brighten slanting shafts of light that fall from above."""
    wide, high = brushes.extent(frame)
    light = np.zeros_like(frame)
    slant = rng.uniform(-0.5, 0.5)
    for x in rng.uniform(-0.1, wide + 0.1, int(rng.integers(3, 7))):
        half = rng.uniform(0.02, 0.07)
        brushes.polygon(
            light,
            points((x - half, -0.1), (x + half, -0.1), (x + slant + 2.6 * half, high), (x + slant - 2.6 * half, high)),
            (255, 255, 255),
        )
    brushes.softened(light, 0.02)
    fade = np.linspace(strength, 0.15 * strength, frame.shape[0], dtype=np.float32)[:, None]
    brushes.veiled(frame, light[..., 0].astype(np.float32) / np.float32(255) * fade, colour)
