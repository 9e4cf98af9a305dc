"""What an agent does in each of its tasks, side by side, as a moving picture."""

import io
from collections.abc import Sequence
from contextlib import ExitStack, closing
from importlib.util import find_spec as find_module
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import imageio.v3
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nestrl.agents.environments import asked, find_spec, make_single, succeeded
from nestrl.errors import BadConfig, EnvironmentFault, in_words
from nestrl.evaluation.rollouts import LONGEST_EPISODE, endless
from nestrl.tasks.sequence import Task
from nestrl.training.loaded import LoadedAgent
from nestrl.training.worlds import FINAL_SEED
from nestrl.training.writing import make_folder, write_file

KINDS = (".webp", ".gif", ".mp4")
FPS = 12
"""Pictures a second; of environments that run at more each second, third, ... one is shown."""
WIDTH, CAPTION, COLUMNS = 240, 20, 5
"""Pixels of a tile's width and of the line above it, and tiles side by side."""
SUCCEEDED, NOT_YET, WORDS = "#009E73", "#444444", "#ffffff"


class Clip(NamedTuple):
    """What was seen of a task: its tiles, and in how many of its episodes it succeeded."""

    tiles: list[Image.Image]
    successes: int


def record_video(agent: LoadedAgent, path: Path, tasks: Sequence[str] = (), episodes: int = 1) -> dict[str, int]:
    """Play `episodes` of each of these tasks (all, if none is named) into `path`; return how many succeeded of each.

    Every task has a tile; its name above turns green where the episode succeeds, and its last picture stays until all
    have ended. Episodes start as those of `evaluate`, and the policy acts without noise.

    The kind is .webp (the smallest), .gif, or .mp4 (with nestrl[video]).
    Raises BadConfig for another kind, less than one episode, or where ffmpeg is missing, and, as UnknownName does, for
    a task that is not in the sequence; EnvironmentFault where an environment gives no pictures.
    """
    if path.suffix not in KINDS:
        raise BadConfig(f"{path} is no kind of moving picture that can be written; use {', '.join(KINDS)}.")
    if path.suffix == ".mp4" and find_module("imageio_ffmpeg") is None:
        raise BadConfig("An .mp4 needs ffmpeg: pip install 'nestrl[video]', or write a .webp or .gif.")
    if episodes < 1:
        raise BadConfig(f"episodes is {episodes}; it must be at least 1.")
    sequence = agent.config.sequence
    chosen = [sequence.tasks[sequence.task_index(name)] for name in tasks or sequence.task_names]
    with ExitStack() as until_played:
        worlds = [until_played.enter_context(closing(_with_pictures(task))) for task in chosen]
        clips = [_play(agent, task, world, episodes) for task, world in zip(chosen, worlds, strict=True)]
    make_folder(path.parent)
    write_file(path, _encoded(_side_by_side([clip.tiles for clip in clips]), path.suffix))
    return {task.name: clip.successes for task, clip in zip(chosen, clips, strict=True)}


def _play(agent: LoadedAgent, task: Task, environment: Any, episodes: int) -> Clip:
    clips = [_episode(agent, task, environment, FINAL_SEED + number) for number in range(episodes)]
    return Clip([tile for clip in clips for tile in clip.tiles], sum(clip.successes for clip in clips))


def _episode(agent: LoadedAgent, task: Task, environment: Any, seed: int) -> Clip:
    every = max(1, round(environment.metadata.get("render_fps", FPS) / FPS))
    observation, _ = asked(environment, "reset", seed=seed)
    tiles, success, total = [_tile(asked(environment, "render"), task.name)], False, 0.0
    for step in range(1, LONGEST_EPISODE + 1):
        action, _ = agent.predict(observation, task=task.name)
        observation, reward, terminated, truncated, info = asked(environment, "step", action)
        total += float(reward)
        over = terminated or truncated
        if task.success_threshold is None:
            success = success or bool(succeeded(info, 1)[0])
        elif over:
            success = total >= task.success_threshold
        if over or step % every == 0:
            tiles.append(_tile(asked(environment, "render"), task.name, success))
        if over:
            return Clip(tiles, int(success))
    raise endless(task.env_id)


def _with_pictures(task: Task) -> gymnasium.Env[Any, Any]:
    """Return one simulation of the task as it is evaluated, with pictures; EnvironmentFault where it gives none."""
    spec = find_spec(task.env_id)
    try:
        return make_single(spec, task.arguments(evaluation=True), render_mode="rgb_array")
    except Exception as error:  # each environment refuses in its own way
        raise EnvironmentFault(
            f"{task.env_id} gives no pictures (render_mode='rgb_array'): {in_words(error)}. Name the "
            "tasks that do with --tasks."
        ) from error


def _tile(picture: Any, name: str, success: bool = False) -> Image.Image:
    """Return a picture (H, W, 3) uint8 as a tile of WIDTH with a line above."""
    if np.ndim(picture) != 3 or np.shape(picture)[2] not in (3, 4):
        raise EnvironmentFault(f"The environment of {name} gave no picture; it must return (height, width, 3) uint8.")
    image = Image.fromarray(np.asarray(picture, np.uint8))
    height = max(2, 2 * round(WIDTH * image.height / image.width / 2))  # an .mp4 wants even ones
    image = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
    tile = Image.new("RGB", (WIDTH, image.height + CAPTION), SUCCEEDED if success else NOT_YET)
    tile.paste(image, (0, CAPTION))
    ImageDraw.Draw(tile).text((6, 3), name, WORDS, ImageFont.load_default(13))
    return tile


def _side_by_side(clips: Sequence[Sequence[Image.Image]]) -> list[Image.Image]:
    """Return one picture a moment, with a tile of each clip; what is over stands still."""
    columns, height = min(len(clips), COLUMNS), max(clip[0].height for clip in clips)
    size = columns * WIDTH, -(-len(clips) // columns) * height
    moments = [Image.new("RGB", size, NOT_YET) for _ in range(max(map(len, clips)) + FPS)]  # a second to see the end
    for number, clip in enumerate(clips):
        corner = number % columns * WIDTH, number // columns * height
        for moment, picture in enumerate(moments):
            picture.paste(clip[min(moment, len(clip) - 1)], corner)
    return moments


def _encoded(pictures: Sequence[Image.Image], kind: str) -> bytes:
    if kind == ".mp4":
        arrays = [np.asarray(picture) for picture in pictures]
        return imageio.v3.imwrite("<bytes>", arrays, extension=kind, plugin="FFMPEG", fps=FPS, macro_block_size=2)
    if kind == ".gif":
        method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE  # few colours, and no dots: most of the file
        some = np.vstack([np.asarray(picture) for picture in (pictures[0], pictures[len(pictures) // 2], pictures[-1])])
        palette = Image.fromarray(some).quantize(method=method, dither=dither)
        pictures = [picture.quantize(palette=palette, dither=dither) for picture in pictures]
    content, (first, *others) = io.BytesIO(), pictures
    options = {"quality": 50, "method": 4} if kind == ".webp" else {}
    duration = round(1000 / FPS)  # milliseconds
    first.save(content, kind[1:], save_all=True, append_images=others, duration=duration, loop=0, **options)
    return content.getvalue()
