from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image

from nestrl.errors import BadConfig, EnvironmentFault
from nestrl.report import video
from nestrl.report.video import CAPTION, FPS, WIDTH, record_video
from nestrl.tasks.sequence import Segment, Task, TaskSequence
from nestrl.training.config import RunConfig
from nestrl.training.worlds import FINAL_SEED

RED, BLUE = (200, 0, 0), (0, 0, 200)
GREEN, GREY = (0, 158, 115), (68, 68, 68)


class Blink(gymnasium.Env[Any, Any]):
    """Red for some steps and then blue; `succeeds` tells whether that is a success. Two pictures fill a video's one."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 2 * FPS}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    seeds: list[int | None] = []  # noqa: RUF012

    def __init__(self, steps: int = 6, succeeds: bool = True, render_mode: str | None = None) -> None:
        self.steps, self.succeeds, self.render_mode = steps, succeeds, render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        Blink.seeds.append(seed)
        self.now = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.now += 1
        over = self.now == self.steps
        return np.zeros(1, np.float32), 1.0, over, False, {"is_success": over and self.succeeds}

    def render(self) -> Any:
        picture = np.full((30, 40, 3), BLUE if self.now == self.steps else RED, np.uint8)
        picture[:, : 2 * self.now] = 255  # or equal pictures would become one
        return picture


class Blind(Blink):
    """Takes no render_mode."""

    def __init__(self) -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    Blink.seeds.clear()
    ids = {"VideoBlink-v0": Blink, "VideoBlind-v0": Blind}
    for name, kind in ids.items():
        gymnasium.register(name, entry_point=kind)
    yield
    for name in ids:
        del gymnasium.registry[name]


def agent(*tasks: Task) -> Any:
    """An agent that stands still."""
    sequence = TaskSequence("seen", tasks, (Segment(tasks[0].name, 10),))
    return SimpleNamespace(
        config=RunConfig(sequence), predict=lambda observation, task: (np.zeros(1, np.float32), None)
    )


def blink(name: str, threshold: float | None = None, **arguments: Any) -> Task:
    return Task(name, "VideoBlink-v0", arguments, threshold)


def pictures(path: Path) -> tuple[list[Image.Image], int]:
    """Return the pictures of a file, and how long all of them last in ms."""
    with Image.open(path) as file:
        shown, lasts = [], 0
        for number in range(getattr(file, "n_frames", 1)):
            file.seek(number)
            file.load()
            shown.append(file.convert("RGB"))
            lasts += file.info["duration"]
        return shown, lasts


def seen(picture: Image.Image, tile: int) -> tuple[Any, Any]:
    """Return the colours of a tile's caption and of its picture."""
    return picture.getpixel((tile * WIDTH + WIDTH - 8, 8)), picture.getpixel((tile * WIDTH + 220, CAPTION + 90))


def close(one: Any, other: Any) -> bool:
    return bool(np.abs(np.subtract(one, other)).max() < 30)  # .webp is lossy, and a .gif has few colours


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_each_task_has_a_tile_that_turns_green_where_it_succeeds_and_then_stands(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"skills.{kind}"
    three = agent(blink("short"), blink("long", steps=12), blink("fails", succeeds=False))
    assert record_video(three, path) == {"short": 1, "long": 1, "fails": 0}
    shown, lasts = pictures(path)
    assert shown[0].size == (3 * WIDTH, 180 + CAPTION)
    assert lasts == pytest.approx((12 // 2 + 1 + FPS) * 1000 / FPS, rel=0.05)
    for tile in range(3):
        caption, picture = seen(shown[0], tile)
        assert close(caption, GREY) and close(picture, RED)
    in_the_middle = shown[4]  # of 6: the short one is over
    assert close(seen(in_the_middle, 0)[0], GREEN) and close(seen(in_the_middle, 1)[0], GREY)
    for tile, colour in enumerate([GREEN, GREEN, GREY]):
        caption, picture = seen(shown[-1], tile)
        assert close(caption, colour) and close(picture, BLUE)


def test_a_film_is_written_with_ffmpeg(tmp_path: Path) -> None:
    path = tmp_path / "skills.mp4"
    record_video(agent(blink("a")), path)
    assert path.read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(("threshold", "successes"), [(6.0, 2), (6.5, 0)])
def test_a_threshold_decides_and_episodes_are_those_of_the_evaluation(
    threshold: float, successes: int, tmp_path: Path
) -> None:
    two = agent(blink("a", succeeds=False), blink("b", threshold, succeeds=False))
    assert record_video(two, tmp_path / "b.gif", ["b"], episodes=2) == {"b": successes}
    assert Blink.seeds == [FINAL_SEED, FINAL_SEED + 1]
    assert pictures(tmp_path / "b.gif")[0][0].width == WIDTH


@pytest.mark.parametrize(
    ("name", "tasks", "episodes", "error", "says"),
    [
        ("a.avi", (), 1, BadConfig, "use .webp, .gif, .mp4"),
        ("a.gif", (), 0, BadConfig, "at least 1"),
        ("a.gif", ("sea",), 1, BadConfig, "no task 'sea'.*see"),
        ("a.mp4", (), 1, BadConfig, r"pip install 'nestrl\[video\]'"),
        ("a.gif", (), 1, EnvironmentFault, "VideoBlind-v0 gives no pictures.*--tasks"),
    ],
)
def test_what_cannot_be_shown_is_said_before_anything_is_played(
    name: str,
    tasks: tuple[str, ...],
    episodes: int,
    error: type[Exception],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(video, "find_module", lambda name: None)
    with pytest.raises(error, match=says):
        record_video(agent(blink("see"), Task("blind", "VideoBlind-v0")), tmp_path / name, tasks, episodes)
    assert not Blink.seeds and not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (3, 30, 40)])
def test_what_is_no_picture_is_one_clear_error(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Blink, "render", lambda self: np.zeros(shape, np.uint8))
    with pytest.raises(EnvironmentFault, match="The environment of see gave no picture"):
        record_video(agent(blink("see")), tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


def test_a_picture_of_a_line_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blink, "render", lambda self: np.full((1, 4000, 3), 10 * self.now, np.uint8))
    record_video(agent(blink("see")), tmp_path / "a.gif")
    assert pictures(tmp_path / "a.gif")[0][0].height == CAPTION + 2
