"""Vectors of a batch, row by row: written so that a row's result does not depend on the other rows, to the last bit."""

import numpy as np


def length(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean lengths (m,) of vectors (m, k)."""
    total = vectors[:, 0] ** 2
    for axis in range(1, vectors.shape[1]):
        total = total + vectors[:, axis] ** 2
    return np.sqrt(total)


def turn(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return vectors (m, 2) or (m, 3) turned about z by `angle` (m,) rad, anticlockwise."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = vectors.copy()
    turned[:, 0] = cosine * vectors[:, 0] - sine * vectors[:, 1]
    turned[:, 1] = sine * vectors[:, 0] + cosine * vectors[:, 1]
    return turned


def wrap(angle: np.ndarray) -> np.ndarray:
    """Return angles within [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def heading_of(angle: np.ndarray) -> np.ndarray:
    """Return (sine, cosine) of angles (m,), (m, 2)."""
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def direction(angle: np.ndarray) -> np.ndarray:
    """Return unit vectors (m, 2) that point to `angle` (m,)."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def between(draw: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return uniform draws from [0, 1) stretched to [low, high)."""
    return low + (high - low) * draw


def first_within(centre: np.ndarray, offsets: np.ndarray, bound: float) -> np.ndarray:
    """Return centre (m, 2) plus the first of k offsets (m, k, 2) a row with which both coordinates lie within ±bound.

    Where none does, the last one is turned inward: mirrored along each axis on which it leaves, and cut off at ±bound.
    """
    points = centre[:, None] + offsets
    inside = (np.abs(points) < bound).all(axis=-1)
    last = offsets[:, -1]
    inward = centre + np.where(np.abs(points[:, -1]) < bound, last, -last)
    points[:, -1] = np.clip(inward, -bound, bound)
    inside[:, -1] = True
    return points[np.arange(len(points)), inside.argmax(axis=1)]
