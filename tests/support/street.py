"""A drawn street, on which the detector finds a traffic light, a stop sign and a car."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = (1200, 900)
Box = tuple[float, float, float, float]

THINGS: dict[str, Box] = {
    "traffic light": (150, 90, 290, 400),
    "stop sign": (840, 210, 1060, 430),
    "car": (360, 590, 800, 735),
}
"""Where they are: left, top, right and bottom, in pixels."""


def street() -> Image.Image:
    """Return the picture, RGB, always the same."""
    image = Image.new("RGB", SIZE)
    draw = ImageDraw.Draw(image)
    for y in range(SIZE[1]):
        share = y / SIZE[1]
        draw.line(
            [(0, y), (SIZE[0], y)], fill=(round(120 + 90 * share), round(170 + 55 * share), 240)
        )
    _houses(draw, random.Random(7))
    draw.rectangle([0, 640, SIZE[0], 690], fill=(168, 166, 160))
    draw.rectangle([0, 690, SIZE[0], SIZE[1]], fill=(84, 86, 90))
    for left in range(-40, SIZE[0], 220):
        draw.polygon(
            [(left, 810), (left + 120, 810), (left + 105, 826), (left - 15, 826)],
            fill=(230, 230, 220),
        )
    _traffic_light(draw, THINGS["traffic light"])
    _stop_sign(draw, THINGS["stop sign"])
    _car(draw, THINGS["car"])
    return image.filter(ImageFilter.GaussianBlur(1.1))


def _houses(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    left = 0
    while left < SIZE[0]:
        width, roof = dice.randint(130, 210), dice.randint(250, 430)
        wall = dice.choice([(176, 140, 118), (196, 182, 160), (150, 150, 158), (186, 120, 100)])
        draw.rectangle([left, roof, left + width - 6, 650], fill=wall)
        dark = tuple(round(part * 0.55) for part in wall)
        for y in range(roof + 30, 560, 78):
            for x in range(left + 20, left + width - 44, 50):
                draw.rectangle([x, y, x + 28, y + 44], fill=dark)
        left += width


def _traffic_light(draw: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    middle, radius = (left + right) / 2, (right - left) * 0.29
    draw.rectangle([middle - 11, bottom, middle + 11, 690], fill=(70, 72, 74))
    draw.rounded_rectangle(box, 22, fill=(26, 28, 28), outline=(60, 62, 62), width=5)
    for number, colour in enumerate(((250, 60, 45), (74, 60, 22), (20, 66, 34))):
        y = top + (bottom - top) * (0.185 + 0.315 * number)
        draw.ellipse(
            [middle - radius, y - radius, middle + radius, y + radius],
            fill=colour,
            outline=(12, 12, 12),
            width=4,
        )
        draw.ellipse(
            [middle - radius * 0.5, y - radius * 0.6, middle, y - radius * 0.2],
            fill=tuple(min(255, part + 60) for part in colour),
        )


def _stop_sign(draw: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    middle, centre, half = (left + right) / 2, (top + bottom) / 2, (right - left) / 2
    draw.rectangle([middle - 8, centre, middle + 8, 690], fill=(120, 122, 124))
    for share, colour in ((1.0, (245, 245, 245)), (0.93, (196, 22, 34))):
        corners = [math.pi * (0.125 + 0.25 * number) for number in range(8)]
        reach = half * share / math.cos(math.pi / 8)
        draw.polygon(
            [(middle + reach * math.cos(at), centre + reach * math.sin(at)) for at in corners],
            fill=colour,
        )
    font = ImageFont.load_default(70)
    draw.text(
        (middle, centre),
        "STOP",
        font=font,
        fill=(250, 250, 250),
        anchor="mm",
        stroke_width=3,
        stroke_fill=(250, 250, 250),
    )


def _car(draw: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    width, height = right - left, bottom - top

    def at(x: float, y: float) -> tuple[float, float]:
        return left + width * x, top + height * y

    body, glass, dark = (170, 28, 32), (60, 70, 80), (22, 22, 24)
    draw.ellipse([*at(0.02, 0.9), *at(0.98, 1.04)], fill=(58, 60, 63))
    draw.polygon(
        [at(0.2, 0.5), at(0.3, 0.06), at(0.34, 0.0), at(0.66, 0.0), at(0.72, 0.06), at(0.84, 0.5)],
        fill=body,
    )
    draw.polygon([at(0.26, 0.44), at(0.335, 0.1), at(0.485, 0.1), at(0.485, 0.44)], fill=glass)
    draw.polygon([at(0.515, 0.44), at(0.515, 0.1), at(0.66, 0.1), at(0.765, 0.44)], fill=glass)
    draw.rounded_rectangle([*at(0.0, 0.42), *at(1.0, 0.86)], 26, fill=body)
    draw.rectangle([*at(0.0, 0.74), *at(1.0, 0.8)], fill=(110, 18, 22))
    draw.line([at(0.5, 0.46), at(0.5, 0.8)], fill=(110, 18, 22), width=3)
    draw.rectangle([*at(0.53, 0.52), *at(0.58, 0.56)], fill=(90, 14, 18))
    draw.ellipse([*at(0.945, 0.5), *at(0.995, 0.62)], fill=(250, 240, 190))
    draw.rectangle([*at(0.0, 0.5), *at(0.025, 0.62)], fill=(220, 40, 40))
    for x in (0.21, 0.79):
        middle, radius = at(x, 0.84), height * 0.19
        for share, colour in ((1.0, dark), (0.6, (180, 184, 188)), (0.2, (90, 92, 94))):
            reach = radius * share
            draw.ellipse(
                [middle[0] - reach, middle[1] - reach, middle[0] + reach, middle[1] + reach],
                fill=colour,
            )
