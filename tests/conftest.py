"""Settings of every test: one torch thread, pictures without a display, and the marker `fast` where no other is."""

import os

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as fast what is neither a learning nor a packaging test."""
    for item in items:
        if not any(item.iter_markers("learning")) and not any(item.iter_markers("packaging")):
            item.add_marker(pytest.mark.fast)
