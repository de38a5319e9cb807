"""Drawing thickness maps from tubes, ellipsoids and outlines, in millimetres.

Rules of this file:

* Origin in the middle, x to the right, y down, millimetres; thickness in centimetres along the beam.
* Every shape is evaluated analytically inside its bounding box, so edges are smooth at any resolution.
* numpy only, float32; no randomness.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Point = tuple[float, float]
Box = tuple[slice, slice]


class Canvas:
    """A rectangle of ``width_mm`` x ``height_mm`` with one sample every ``step_mm``."""

    def __init__(self, width_mm: float, height_mm: float, step_mm: float) -> None:
        self.step = step_mm
        self.shape = (max(1, round(height_mm / step_mm)), max(1, round(width_mm / step_mm)))
        rows, columns = self.shape
        self.x = ((np.arange(columns, dtype=np.float32) + 0.5 - columns / 2) * step_mm).astype(np.float32)
        self.y = ((np.arange(rows, dtype=np.float32) + 0.5 - rows / 2) * step_mm).astype(np.float32)

    def empty(self) -> F32:
        """A map of zeros."""
        return np.zeros(self.shape, np.float32)

    def box(self, left: float, top: float, right: float, bottom: float) -> Box:
        """The samples between these coordinates (mm)."""
        x = np.searchsorted(self.x, (left, right))
        y = np.searchsorted(self.y, (top, bottom))
        return slice(int(y[0]), int(y[1])), slice(int(x[0]), int(x[1]))

    def grid(self, box: Box) -> tuple[F32, F32]:
        """Coordinates of a box: column of y, row of x."""
        return self.y[box[0]][:, None], self.x[box[1]][None, :]

    def distance(self, points: Sequence[Point], reach: float) -> tuple[Box, F32, F32]:
        """Distance (mm) to a polyline within ``reach`` of it, and where along it (0..1) the nearest point is."""
        p = np.asarray(points, np.float32)
        low, high = p.min(0) - reach, p.max(0) + reach
        box = self.box(low[0], low[1], high[0], high[1])
        yy, xx = self.grid(box)
        best = np.full((yy.shape[0], xx.shape[1]), np.float32(reach * 2))
        along = np.zeros_like(best)
        lengths = np.hypot(*np.diff(p, axis=0).T)
        total = float(lengths.sum()) or 1.0
        done = 0.0
        for (ax, ay), (bx, by), length in zip(p[:-1], p[1:], lengths, strict=True):
            part = self.box(
                min(ax, bx) - reach, min(ay, by) - reach, max(ax, bx) + reach, max(ay, by) + reach
            )
            inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, box, strict=True))
            y, x = self.grid(part)
            dx, dy = float(bx - ax), float(by - ay)
            square = dx * dx + dy * dy or 1.0
            t = np.clip(((x - ax) * dx + (y - ay) * dy) / square, 0, 1)
            d = np.hypot(x - (ax + t * dx), y - (ay + t * dy))
            view_d, view_a = best[inner], along[inner]
            nearer = d < view_d
            view_d[nearer] = d[nearer]
            view_a[nearer] = ((done + t * length) / total)[nearer]
            done += float(length)
        return box, best, along

    def tube(
        self,
        into: F32,
        points: Sequence[Point],
        radii: Sequence[float],
        *,
        scale: float = 1.0,
        wall: Sequence[float] = (),
        fill: float = 0.0,
        flat: float = 1.0,
    ) -> None:
        """Add a tube along a polyline: thickness 2·sqrt(r²-d²), times ``scale``.

        ``radii`` (mm) are spread along the line; with ``wall`` (mm, likewise) it is a hollow bone whose inside has
        the density ``fill``.  ``flat`` squeezes it along the beam.
        """
        box, d, along = self.distance(points, max(radii) + self.step)
        r = np.interp(along, np.linspace(0, 1, len(radii)), radii).astype(np.float32)
        thick = np.sqrt(np.maximum(r * r - d * d, 0))
        if wall:
            shell = np.interp(along, np.linspace(0, 1, len(wall)), wall).astype(np.float32)
            inner = np.maximum(r - shell, 0)
            thick -= np.float32(1 - fill) * np.sqrt(np.maximum(inner * inner - d * d, 0))
        into[box] += np.float32(0.2 * scale * flat) * thick

    def ellipsoid(
        self,
        centre: Point,
        axes: Point,
        thick_cm: float,
        *,
        angle: float = 0.0,
        power: float = 0.5,
    ) -> tuple[Box, F32]:
        """Thickness of an ellipsoid (``thick_cm`` in its middle), turned by ``angle`` degrees clockwise."""
        reach = max(axes)
        box = self.box(centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach)
        y, x = self.grid(box)
        c, s = np.float32(np.cos(np.radians(angle))), np.float32(np.sin(np.radians(angle)))
        u = ((x - centre[0]) * c + (y - centre[1]) * s) / np.float32(axes[0])
        v = ((y - centre[1]) * c - (x - centre[0]) * s) / np.float32(axes[1])
        inside = np.maximum(1 - u * u - v * v, 0)
        return box, (np.float32(thick_cm) * inside ** np.float32(power)).astype(np.float32)

    def letter_r(self, into: F32, centre: Point, height: float, lead: float) -> None:
        """A lead letter R: whoever flips or turns the picture shows it."""
        x, y, h, w = centre[0], centre[1], height / 2, height / 3
        bow = [
            (x + 0.1 * w + w * np.sin(a), y - h / 2 - h / 2 * np.cos(a)) for a in np.linspace(0, np.pi, 13)
        ]
        strokes: list[list[Point]] = [
            [(x - w, y + h), (x - w, y - h)],
            [(x - w, y - h), *((float(a), float(b)) for a, b in bow), (x - w, y)],
            [(x, y), (x + w, y + h)],
        ]
        mask = np.zeros(self.shape, bool)
        for stroke in strokes:
            box, d, _ = self.distance(stroke, height / 10 + self.step)
            mask[box] |= d < height / 10
        into[mask] = lead


def blur(a: F32, sigma: float) -> F32:
    """Gaussian blur with ``sigma`` in samples, edges reflected."""
    reach = max(1, int(4 * sigma))
    k = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    k = (k / k.sum()).astype(np.float32)
    for axis in (0, 1):
        n = a.shape[axis]
        padded = np.pad(a, [(reach, reach) if i == axis else (0, 0) for i in (0, 1)], mode="symmetric")
        size = 1 << int(np.ceil(np.log2(padded.shape[axis] + len(k))))
        shape = [1, 1]
        shape[axis] = -1
        spectrum = np.fft.rfft(padded, size, axis=axis) * np.fft.rfft(k, size).reshape(shape)
        full = np.fft.irfft(spectrum, size, axis=axis)
        a = np.take(full, range(2 * reach, 2 * reach + n), axis).astype(np.float32)
    return a


def curve(points: Sequence[Point], at: npt.NDArray[np.float32]) -> F32:
    """Smooth line through (position, value) points, evaluated at positions (monotone cubic Hermite)."""
    x = np.asarray([p[0] for p in points], np.float64)
    y = np.asarray([p[1] for p in points], np.float64)
    slope = np.diff(y) / np.diff(x)
    m = np.zeros_like(y)
    m[1:-1] = np.where(
        slope[:-1] * slope[1:] > 0, 2 * slope[:-1] * slope[1:] / (slope[:-1] + slope[1:] + 1e-12), 0
    )
    m[0], m[-1] = slope[0], slope[-1]
    q = np.clip(at, x[0], x[-1])
    i = np.clip(np.searchsorted(x, q) - 1, 0, len(x) - 2)
    h = x[i + 1] - x[i]
    t = (q - x[i]) / h
    h00, h10 = 2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t
    h01, h11 = -2 * t**3 + 3 * t**2, t**3 - t**2
    return (h00 * y[i] + h10 * h * m[i] + h01 * y[i + 1] + h11 * h * m[i + 1]).astype(np.float32)


def enlarge(a: F32, shape: tuple[int, int]) -> F32:
    """Resample a map to another shape (bicubic)."""
    from PIL import Image

    if a.shape == shape:
        return a
    picture = Image.fromarray(a).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.maximum(np.asarray(picture, np.float32), 0)


LEAD: float = 12.0
"""Bone-equivalent centimetres of a lead letter: nothing gets through."""
