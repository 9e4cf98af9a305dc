"""Pictures without a display: which OpenGL MuJoCo is to use, and what to install where there is none."""

import os
import sys
from ctypes.util import find_library

LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}  # MuJoCo's names and the shared libraries behind them
REMEDY = (
    "rendering needs OpenGL: install libegl1 and libgl1-mesa-dri (or libosmesa6), or set MUJOCO_GL to what you have, "
    "before mujoco is imported"
)


def choose_opengl() -> None:
    """Set MUJOCO_GL to the first offscreen OpenGL found, where no display and no choice is set.

    MuJoCo reads it once, when it is imported, and cannot be imported with a library that is not there.
    """
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ or "DISPLAY" in os.environ:
        return
    found = next(
        (name for name, library in LIBRARIES.items() if find_library(library)), None
    )  # a search starts programs
    if found:
        os.environ["MUJOCO_GL"] = found
