"""Settings of every test: one torch thread, pictures without a display, no deadlines, the marker `fast` by default."""

import os

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("nestrl", deadline=None)  # on a busy machine anything takes long now and then
hypothesis.settings.load_profile("nestrl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as fast what is neither a learning nor a packaging test."""
    for item in items:
        if not any(item.iter_markers("learning")) and not any(item.iter_markers("packaging")):
            item.add_marker(pytest.mark.fast)
