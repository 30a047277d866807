"""Pictures drawn by us, by which networks are calibrated for int8: no photo is needed.

What counts for that is how far each layer's numbers reach. So there is much of all that photos
have: smooth light, textures whose power falls with the frequency as in nature, edges, shapes of
one colour, stripes and grids, noise, and pictures that are dark, bright, dull or grey. The same
seed draws the same pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""Light float32 (H, W, 3), about 0…1."""


def draw_pictures(count: int, side: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return ``count`` pictures, uint8 RGB (count, side, side, 3)."""
    made = np.empty((count, side, side, 3), np.uint8)
    for number in range(count):
        dice = np.random.default_rng((seed, number))
        made[number] = _finished(_composed(dice, side), dice)
    return made


def _composed(dice: np.random.Generator, side: int) -> Plane:
    """Return a background, shapes with textures of their own before it, and light over all."""
    picture = _any_texture(dice, side)
    for _ in range(int(dice.integers(1, 9))):
        mask = _soft(_shape(dice, side), dice)[..., np.newaxis]
        picture = picture * (1 - mask) + _any_texture(dice, side) * mask
    return picture * (0.6 + 0.8 * _gradient(dice, side)[..., :1])


def _any_texture(dice: np.random.Generator, side: int) -> Plane:
    """Return one texture of one of the kinds, in colours of its own."""
    kind = _TEXTURES[int(dice.integers(len(_TEXTURES)))]
    texture = kind(dice, side)
    low, high = _colour(dice), _colour(dice)
    if dice.random() < 0.5:  # mostly one hue in other light: few things have all colours
        high = np.clip(low + np.float32(dice.uniform(-0.7, 0.7)), 0, 1)
    return low + (high - low) * texture


def _colour(dice: np.random.Generator) -> NDArray[np.float32]:
    """Return a colour, most often a dull one."""
    colour = dice.uniform(0, 1, 3)
    dull = dice.uniform(0.2, 1) ** 2
    return np.asarray(colour.mean() + (colour - colour.mean()) * dull, np.float32)


def _coordinates(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each pixel's place along both axes, -1…1."""
    line = np.linspace(-1, 1, side, dtype=np.float32)
    return np.meshgrid(line, line)


def _gradient(dice: np.random.Generator, side: int) -> Plane:
    """Return light that grows in one direction, or from a point."""
    x, y = _coordinates(side)
    angle = dice.uniform(0, 2 * np.pi)
    if dice.random() < 0.5:
        ramp = x * np.cos(angle) + y * np.sin(angle)
    else:
        ramp = np.hypot(x - np.cos(angle), y - np.sin(angle)) - 1
    return _levelled(ramp)


def _natural(dice: np.random.Generator, side: int) -> Plane:
    """Return noise whose amplitude falls as the frequency to a power of 0.5…2 (Field, 1987)."""
    rows = np.fft.fftfreq(side)[:, np.newaxis]
    columns = np.fft.rfftfreq(side)[np.newaxis]
    frequency = np.hypot(rows * dice.uniform(0.5, 2), columns)
    frequency[0, 0] = 1 / side
    amplitude = frequency ** -dice.uniform(0.5, 2.0)
    amplitude[0, 0] = 0
    channels = 3 if dice.random() < 0.3 else 1
    planes = []
    for _ in range(channels):
        phase = dice.uniform(0, 2 * np.pi, amplitude.shape)
        plane = np.fft.irfft2(amplitude * np.exp(1j * phase), (side, side))
        planes.append(_levelled(plane.astype(np.float32))[..., 0])
    return np.stack([planes[at % channels] for at in range(3)], 2)


def _stripes(dice: np.random.Generator, side: int) -> Plane:
    """Return stripes or a grid, soft or hard."""
    x, y = _coordinates(side)
    angle, waves = dice.uniform(0, np.pi), np.exp(dice.uniform(np.log(2), np.log(side / 5)))
    along = np.sin((x * np.cos(angle) + y * np.sin(angle)) * waves * np.pi)
    if dice.random() < 0.4:
        along = along * np.sin((y * np.cos(angle) - x * np.sin(angle)) * waves * np.pi)
    return _levelled(np.clip(along * np.exp(dice.uniform(0, 3)), -1, 1))


def _blocks(dice: np.random.Generator, side: int) -> Plane:
    """Return a mosaic of squares."""
    cell = int(dice.integers(4, max(side // 4, 5)))
    count = -(-side // cell)
    tiles = dice.uniform(0, 1, (count, count, 3)).astype(np.float32)
    return tiles.repeat(cell, 0).repeat(cell, 1)[:side, :side]


def _flat(dice: np.random.Generator, side: int) -> Plane:
    """Return one colour with very little noise."""
    noise = dice.normal(0.5, dice.uniform(0, 0.05), (side, side, 3))
    return noise.astype(np.float32)


_TEXTURES = (_gradient, _natural, _natural, _natural, _stripes, _blocks, _flat)


def _levelled(plane: NDArray[np.float32]) -> Plane:
    """Return one plane spread to 0…1, in three equal channels."""
    low, high = float(plane.min()), float(plane.max())
    plane = (plane - low) / max(high - low, 1e-6)
    return np.repeat(plane[..., np.newaxis], 3, 2).astype(np.float32)


def _shape(dice: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Return a shape's distance function, negative inside: an ellipse, a box, or a polygon."""
    x, y = _coordinates(side)
    left, top = dice.uniform(-0.9, 0.9, 2)
    wide, high = np.exp(dice.uniform(np.log(0.08), np.log(0.9), 2))
    angle = dice.uniform(0, np.pi)
    across = ((x - left) * np.cos(angle) + (y - top) * np.sin(angle)) / wide
    along = ((y - top) * np.cos(angle) - (x - left) * np.sin(angle)) / high
    kind = dice.integers(4)
    if kind == 0:
        reach = np.hypot(across, along)
    elif kind == 1:
        reach = np.maximum(np.abs(across), np.abs(along))
    elif kind == 2:
        reach = np.maximum(np.abs(across) * 0.87 + along * 0.5, -along)
    else:  # as blots and leaves
        turn = np.arctan2(along, across)
        reach = np.hypot(across, along) * (1 + 0.3 * np.sin(turn * dice.integers(2, 9)))
    return np.asarray((reach - 1) * min(wide, high), np.float32)


def _soft(distance: NDArray[np.float32], dice: np.random.Generator) -> NDArray[np.float32]:
    """Return how much of each pixel a shape covers, its edge sharp or out of focus."""
    width = np.float32(np.exp(dice.uniform(np.log(0.005), np.log(0.2))))
    return np.asarray(np.clip(0.5 - distance / width, 0, 1), np.float32)


def _finished(picture: Plane, dice: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture as a camera would give it: contrast, exposure, sometimes grey, noise."""
    light = np.clip(picture, 0, 1) ** np.exp(dice.uniform(-0.7, 0.7))
    light = (light - 0.5) * dice.uniform(0.5, 1.4) + 0.5 + dice.uniform(-0.2, 0.2)
    if dice.random() < 0.1:
        light = np.repeat(light.mean(2, keepdims=True), 3, 2)
    light = light + dice.normal(0, dice.uniform(0, 0.03), light.shape)
    return np.asarray((np.clip(light, 0, 1) * 255).round(), np.uint8)
