"""One run, from its configuration to its report, as a straight path."""

from pathlib import Path

from nestrl.training.config import RunConfig
from nestrl.training.display import Display
from nestrl.training.life import Life
from nestrl.training.result import Run


def run(config: RunConfig, folder: str | Path, *, resume: bool = False, display: Display | None = None) -> Run:
    """Train one agent through a sequence of tasks and return what came of it.

    With `resume`, go on from the newest checkpoint in `folder`; the result equals that of a run never stopped, to the
    last bit, if all environments can give their state (otherwise the display says which cannot).

    Raises RunExists when `folder` is not free, BadConfig for a configuration with a mistake or, with `resume`, other
    than that of the run, DamagedCheckpoint when no checkpoint can be used, EnvironmentFault, TrainingDiverged or
    NestrlError (a full disk) when the run cannot go on, and KeyboardInterrupt after Ctrl-C; what was learned until the
    last checkpoint stands.
    """
    sequence = config.sequence
    with Life(config, Path(folder), display or Display(), resume=resume) as life:
        agent, method = life.agent, life.method
        if life.is_new:
            life.evaluate()
        for index, segment in life.segments_ahead():
            task = sequence.task_index(segment.task)
            environment = life.environment(task)
            agent.start_task(task, environment, first=index == 0, steps=segment.steps)
            method.begin(index, task)
            life.return_to_checkpoint()  # where the run stopped within this segment
            while not life.segment_done:
                at_the_end = life.learn(until=life.next_evaluation)  # method.regulate in every step of the optimizer
                if at_the_end:
                    method.end(index, task, environment.recent_observations())
                life.evaluate()
                life.checkpoint()
        finished = life.report()
        if life.stop_requested:  # too late to stop this run; whoever has more to train should know
            raise KeyboardInterrupt
        return finished
