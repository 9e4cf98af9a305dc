"""Where a run stands: its agent, method and environments, how far it is, and how that is saved and found again."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from nestrl.agents.agent import Simulations
from nestrl.agents.normalization import rows_in
from nestrl.agents.vec_env import TaskVecEnv
from nestrl.errors import BadConfig, TrainingDiverged
from nestrl.evaluation.retention import SuccessCurves
from nestrl.evaluation.rollouts import Episodes, packed
from nestrl.identity.unlabelled_testing import Recognised
from nestrl.identity.unlabelled_training import Unlabelled
from nestrl.methods import as_numbers
from nestrl.methods.protocol import Pausing
from nestrl.tasks.sequence import Segment
from nestrl.training.alarms import alarms
from nestrl.training.checkpoint import Checkpoint, load_newest, save, to_tensors, used
from nestrl.training.config import RunConfig, import_modules
from nestrl.training.display import Display, Moment
from nestrl.training.learner import Rows, common_rows, learner_and_method
from nestrl.training.result import Run, counts, summary
from nestrl.training.run_folder import RunFolder
from nestrl.training.segments import segments_of
from nestrl.training.stopping import StopRequest
from nestrl.training.stopwatch import Stopwatch
from nestrl.training.worlds import FINAL_SEED, Worlds
from nestrl.training.writing import Log

SLICES = 50  # a segment is learned in this many slices: after each a method may pause, and the run be stopped


class Life:
    """A run while it goes on. As a context it holds the environments, the log, the display and the signals."""

    def __init__(self, config: RunConfig, path: Path, display: Display, *, resume: bool) -> None:
        """Begin a run in a folder that is free, or find the one in it again."""
        self.config, self.folder, self.display = config, RunFolder(path), display
        if resume:
            self.folder.require_begun_as(config)
        else:
            self.folder.require_free()
        import_modules(config.imports)
        config.require_suited_method()
        self._segments = segments_of(config)
        self.segment = self.steps_here = 0
        self._ends: list[int] = []  # steps at the end of each finished segment
        self._evaluated_at: list[int] = []  # steps of each evaluation
        self._success: list[list[float]] = []  # of each task at each of them, in 0..1
        self._since_checkpoint = self._diverged = 0
        self._environment: Simulations | None = None
        self._midway: Checkpoint | None = None  # a checkpoint within a segment, until the segment is entered
        self._stop, self._clock = StopRequest(), Stopwatch()
        with ExitStack() as opened:
            opened.enter_context(_torch_threads(config.threads))
            self.worlds = Worlds(config.sequence, config.evaluation_episodes)
            opened.callback(self.worlds.close)
            opened.callback(self._close_environment)
            if resume:
                self._log = opened.enter_context(Log(self.folder.log))  # first: nobody else goes on with it meanwhile
            found = load_newest(self.folder.checkpoints) if resume else None
            worlds, rows = self.worlds, self._normalizer_rows(found)
            own = self.folder.with_own_files(config)
            self.agent, self.method = learner_and_method(own, worlds.union, rows, worlds.try_out)
            if resume:
                self._find_again(found)
            else:
                to_tensors(self.method.state_dict(), "state_dict()")  # refuses a foreign method's before it has worked
                self.folder.create(config)
                self._log = opened.enter_context(Log(self.folder.log))
            self._first_step = self.steps
            self._closing = opened.pop_all()

    def __enter__(self) -> Self:
        self._closing.enter_context(self._stop)
        self._closing.enter_context(self.display)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, BadConfig | TrainingDiverged):  # which would only come again
            error.add_note(self.folder.what_is_saved)
        self._closing.__exit__(kind, error, trace)

    @property
    def is_new(self) -> bool:
        """Whether nothing has been measured yet."""
        return not self._evaluated_at

    @property
    def stop_requested(self) -> bool:
        """Whether Ctrl-C or SIGTERM has come."""
        return self._stop.made

    @property
    def segment_start(self) -> int:
        """Environment steps of the whole sequence before the current segment."""
        return self._ends[self.segment - 1] if self.segment else 0

    @property
    def steps(self) -> int:
        """Environment steps of the whole sequence done so far."""
        return self.segment_start + self.steps_here

    @property
    def segment_done(self) -> bool:
        """Whether the steps of the current segment are done."""
        return len(self._ends) > self.segment

    @property
    def next_evaluation(self) -> int:
        """Steps within the segment at which all tasks are to be evaluated next."""
        planned, count = self._segments.known[self.segment].steps, self.config.evaluations_per_segment
        places = [round(planned * part / count) for part in range(1, count + 1)]
        return next(place for place in places if place > self.steps_here)

    @property
    def curves(self) -> SuccessCurves:
        """Success so far; segments that are not finished stand at their planned steps."""
        sequence = self.config.sequence
        segments, start = [], 0
        for index, segment in enumerate(self._segments.known):
            end = self._ends[index] if index < len(self._ends) else start + segment.steps
            segments.append((sequence.task_index(segment.task), start, end))
            start = end
        success = np.array(self._success, float).reshape(-1, sequence.n_tasks)
        steps = np.array(self._evaluated_at, np.int64)
        return SuccessCurves(success, steps, sequence.task_names, tuple(segments), sequence.revisits_are_new)

    def segments_ahead(self) -> Iterator[tuple[int, Segment]]:
        """Yield (index, segment) of those not finished, entering each; the first may be one stopped midway."""
        while True:
            if self.segment_done:
                self.steps_here, self.segment = 0, self.segment + 1
                self._segments.start()
            if self.segment == len(self._segments.known):
                self._segments.extend(self.steps, self._success[-1])
            if self.segment == len(self._segments.known):
                return
            yield self.segment, self._segments.known[self.segment]

    def environment(self, task_index: int) -> Simulations:
        """Return new simulations to train in during the current segment; those of the last one are closed."""
        self._close_environment()
        self._diverged = 0
        n = self.config.agent.n_envs
        jointly = self.config.trains_jointly
        world = self.worlds.training_jointly(n) if jointly else self.worlds.training(task_index, n)
        if isinstance(self.method, Unlabelled) and isinstance(world, TaskVecEnv):
            self._environment = self.method.hidden(world)
        else:
            self._environment = world
        return self._environment

    def learn(self, until: int) -> bool:
        """Learn up to `until` steps of the segment, in whole rollouts; return whether the segment is done."""
        segment = self._segments.known[self.segment]
        slice_steps = max(1, segment.steps // SLICES)
        while self.steps_here < until:
            if self._stop.made:
                if self.steps_here:  # at 0 the checkpoint of the boundary holds all, before the segment was begun
                    self._save()
                raise KeyboardInterrupt
            slice_end = (self.steps_here // slice_steps + 1) * slice_steps
            with self._clock.timing("training"):
                self.steps_here += self.agent.learn(min(slice_end, until) - self.steps_here)
            self._say_what_diverged()
            paused = self.steps_here >= min(slice_end, segment.steps)  # not where only an evaluation is due
            if paused:
                self._notice()
                if isinstance(self.method, Pausing):
                    self.method.pause()
            self._log.write(
                "training",
                steps=self.steps,
                task=segment.task,
                losses=self.agent.last_losses,
                method=as_numbers(self.method.measurements()),
                diverged=self._diverged,
            )
            self._show()
            if paused and self._segments.ends_early(self.agent.tally, self._success_in):
                return self._end_segment()
        return self._end_segment() if self.steps_here >= segment.steps else False

    def evaluate(self) -> None:
        """Measure every task on its fixed starts, without touching anything that training depends on."""
        names = self.config.sequence.task_names
        with self._clock.timing("evaluation"):
            episodes = self.worlds.examine_all(self.method.policy_for, self.config.evaluation_episodes)
        of_each = dict(zip(names, episodes, strict=True))
        success = {name: float(result.success.mean()) for name, result in of_each.items()}
        self._evaluated_at.append(self.steps)
        self._success.append(list(success.values()))
        self._log.write(
            "evaluation",
            steps=self.steps,
            success=success,
            outcomes={name: packed(result.success) for name, result in of_each.items()},
            success_at_end={name: float(result.success_at_end.mean()) for name, result in of_each.items()},
            returns={name: float(result.returns.mean()) for name, result in of_each.items()},
        )
        self.folder.save_curves(self.curves)
        self._show(evaluated=True)
        if self.steps == 0:
            self._say_what_nothing_judges(episodes)

    def checkpoint(self) -> None:
        """Save everything if it is time: at the end of a segment, and every `checkpoint_every` evaluations."""
        self._since_checkpoint += 1
        if self.segment_done or self._since_checkpoint >= self.config.checkpoint_every:
            self._save()

    def return_to_checkpoint(self) -> None:
        """Take up the segment where it was stopped, if it was: what its beginning has just done is undone."""
        if self._midway is None or self._environment is None:
            return
        state = self._midway.state
        with used(self._midway.path):
            self._environment.load_state_dict(state["environment"])
            self.method.load_state_dict(state["method"])
            self.agent.load_state_dict(state["agent"])  # last: it holds the random streams
        self._diverged = self._environment.diverged_count
        if not self._environment.resumes_exactly:
            self._log.write("episodes restarted", steps=self.steps)
            self._tell(
                self.display.say,
                f"{self._segments.known[self.segment].task} cannot give the state of its simulations: their "
                "episodes start anew, so this run does not go on bit for bit.",
            )
        self._midway = None

    def report(self) -> Run:
        """Measure the success that is left with more episodes, write metrics and policy, and return the run."""
        names, n = self.config.sequence.task_names, self.config.final_episodes
        with self._clock.timing("final evaluation"):
            episodes = self.worlds.examine_all(self.method.policy_for, n, FINAL_SEED)
        final = {name: counts(result) for name, result in zip(names, episodes, strict=True)}
        self._log.write(
            "report",
            steps=self.steps,
            successes={name: count["successes"] for name, count in final.items()},
            successes_at_end={name: count["successes_at_end"] for name, count in final.items()},
            episodes=n,
        )
        self.folder.save_curves(self.curves)
        self.folder.save_policy(self.agent.weights, self.worlds.union, self.config)
        self.folder.save_metrics(summary(self.config, self.curves, final, self._clock.seconds))
        self._log.sync()
        return Run(self.folder.path)

    def _success_in(self, episodes: int) -> float:
        """Return the present policy's success without noise in training episodes of its task, which are charged."""
        task = self.config.sequence.task_index(self._segments.known[self.segment].task)
        trial = self.agent.trial([self.agent.policy], task, episodes)
        self.steps_here += self.agent.learn(0)
        return float(trial.success.mean())

    def _end_segment(self) -> bool:
        """Say what was amiss in the segment; it is done."""
        lines = self.folder.log_lines("training")  # from the log: it knows what was before a stop, too
        here = [line["method"] for line in lines if line["steps"] > self.segment_start]
        before = lines[-len(here) - 1]["method"] if len(here) < len(lines) else None
        for sentence in alarms(here, before):
            self._tell(self.display.say, sentence)
        self._ends.append(self.steps)
        return True

    def _save(self) -> None:
        with self._clock.timing("checkpoint"):
            environment = None if self.segment_done or self._environment is None else self._environment.state_dict()
            state = {
                "segment": self.segment,
                "steps_here": self.steps_here,
                "ends": self._ends,
                "segments": self._segments.state_dict(),
                "evaluated_at": self._evaluated_at,
                "success": self._success,
                "environment": environment,
                "method": self.method.state_dict(),
                "agent": self.agent.state_dict(),
                "log_length": self._log.sync(),
                "seconds": self._clock.seconds,
            }
            save(self.folder.checkpoints, self.steps, state)
            self.folder.save_policy(self.agent.weights, self.worlds.union, self.config)
        self._since_checkpoint = 0

    def _normalizer_rows(self, found: Checkpoint | None) -> Rows:
        """Return the mean and scale of observations: as they were when the run began, else as they are measured now."""
        if found is not None:
            with used(found.path):
                return rows_in(found.state["agent"]["policy"])
        rows, sizes = self.worlds.normalizer_rows(), self.worlds.union.observation_sizes
        return common_rows(rows, sizes) if self.config.boundaries == "detected" else rows

    def _find_again(self, found: Checkpoint | None) -> None:
        """Go to the newest checkpoint; a run that was stopped before its first one begins anew."""
        for sentence in self.folder.version_changes():
            self._tell(self.display.say, sentence)
        if found is None:
            self.folder.require_no_policy()
            self._log.cut(0)
            self._tell(self.display.say, "No checkpoint yet: the run begins anew.")
            return
        for sentence in found.left_aside:
            self._tell(self.display.say, sentence)
        with used(found.path):
            self._log.cut(found.state["log_length"])
            self._go_to(found)

    def _go_to(self, found: Checkpoint) -> None:
        state = found.state
        self.segment, self.steps_here = state["segment"], state["steps_here"]
        self._ends, self._evaluated_at, self._success = state["ends"], state["evaluated_at"], state["success"]
        self._segments.load_state_dict(state.get("segments", {}))  # older checkpoints know fixed ones only
        self._clock.add(state["seconds"])
        if self.segment >= len(self._segments.known) or not self._success:
            raise ValueError("it is of no moment of this run")
        if state["environment"] is not None:
            self._midway = found
            return
        self.method.load_state_dict(state["method"])
        self.agent.load_state_dict(state["agent"])

    def _say_what_nothing_judges(self, episodes: Sequence[Episodes]) -> None:
        """Warn, before a step is spent, of tasks whose episodes may all count as failed."""
        for task, result in zip(self.config.sequence.tasks, episodes, strict=True):
            if not result.judged:
                self._tell(
                    self.display.say,
                    f"No episode of {task.name} has told whether it succeeds; while none does, all count as failed: "
                    'put info["is_success"] into every step, or give the task a success_threshold on the return '
                    f"(`nestrl check {shlex.quote(task.env_id)}`).",
                )

    def _say_what_diverged(self) -> None:
        """Report simulations of this segment that the physics engine had to give up; they have started anew."""
        count = self._environment.diverged_count if self._environment else 0
        if count > self._diverged:
            task = self._segments.known[self.segment].task
            self._tell(self.display.say, f"{count - self._diverged} simulations of {task} diverged and were reset.")
        self._diverged = count

    def _notice(self) -> None:
        """Let a method that is not told everything see the slice; write down when it believes in another task."""
        if not isinstance(self.method, Recognised) or self._environment is None:
            return
        if self.method.notice(self._environment):
            self._log.write("boundary noticed", steps=self.steps, slot=self.method.present)

    def _show(self, *, evaluated: bool = False) -> None:
        segments = self._segments.known
        elapsed = time.monotonic() - self._clock.began
        moment = Moment(
            title=f"{self.config.sequence.name}, {self.config.method}, seed {self.config.seed}",
            segment=self.segment,
            n_segments=len(segments),
            task=segments[self.segment].task,
            steps=self.steps,
            total_steps=self.curves.segments[-1][2],
            steps_per_second=(self.steps - self._first_step) / elapsed,
            success=dict(zip(self.config.sequence.task_names, self._success[-1], strict=True)) if self._success else {},
            measurements=as_numbers(self.method.measurements()),
            evaluated=evaluated,
        )
        self._tell(self.display.show, moment)

    def _tell(self, way: Callable[[Any], object], what: Any) -> None:
        """Show or say something; after Ctrl-C, which also ends who reads, nobody may be there any more."""
        try:
            way(what)
        except BrokenPipeError:
            if not self._stop.made:
                raise

    def _close_environment(self) -> None:
        if self._environment is not None:
            self._environment.close()
        self._environment = None


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
