"""The command line: one verb a capability, each a thin call. Imports happen in the verbs, so that --help is quick."""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

from tyro.conf import Positional, UseAppendAction, arg
from tyro.extras import SubcommandApp

from nestrl.errors import BadConfig, NestrlError
from nestrl.settings import options_in, spelled_out

if TYPE_CHECKING:
    from nestrl.training.result import Run

Settings = Annotated[
    UseAppendAction[tuple[str, ...]],
    arg(
        name="set",
        metavar="KEY=VALUE",
        help="agent.KEY, agent.hyperparameters.KEY, method.KEY (also --method.KEY VALUE), or one of the run.",
    ),
]
Arguments = Annotated[
    UseAppendAction[tuple[str, ...]],
    arg(name="set", metavar="NAME=VALUE", help="An argument of the environment, as in the kwargs of a task."),
]
Imports = Annotated[
    UseAppendAction[tuple[str, ...]],
    arg(name="import", metavar="MODULE", help="A module that registers environments, sequences or methods."),
]

app = SubcommandApp()


@app.command(name="list")
def list_names(
    what: Positional[Literal["all", "environments", "sequences", "methods"]] = "all", long: bool = False
) -> None:
    """Show what there is, with one line each.

    Args:
        what: Which of them.
        long: Of the methods: what they store, cost and must know, and the paper, as a table.
    """
    from nestrl.methods import METHODS, find_method
    from nestrl.tasks.named import DESCRIPTIONS
    from nestrl_envs import TASKS

    tables = {
        "environments": {
            f"nestrl_envs:{name}": (task.__doc__ or "").partition("\n")[0] for name, task in TASKS.items()
        },
        "sequences": DESCRIPTIONS,
        "methods": {name: find_method(name).card.summary for name in METHODS},
    }
    if long:
        if what not in ("all", "methods"):
            raise BadConfig(f"--long tells of methods, not of {what}; write `nestrl list methods --long`.")
        from nestrl.report.tables import method_cards

        print(method_cards())
        return
    for title, rows in tables.items():
        if what in ("all", title):
            print(f"{title}:")
            width = max(map(len, rows)) + 2
            print("".join(f"  {name:<{width}}{line}\n" for name, line in rows.items()))
    if what in ("all", "environments"):
        print("Any other gymnasium id is a task too; `nestrl check ID` says whether it is fit for a sequence.")


@app.command(name="train")
def train(
    sequence: Positional[str],
    method: str = "nested",
    seed: int = 0,
    steps_scale: float = 1.0,
    folder: Path | None = None,
    settings: Settings = (),
    imports: Imports = (),
) -> None:
    """Train one agent through a sequence of tasks.

    Args:
        sequence: A name of `nestrl list sequences`, or a YAML file.
        method: How skills are kept: a name of `nestrl list methods`, or package.module:Class.
        seed: Of everything random in training.
        steps_scale: Every segment is this many times as long.
        folder: Where the run goes; by default runs/<sequence>-<method>-s<seed>.
    """
    from nestrl.training.train import train as train_run

    options = options_in(settings)
    run = train_run(
        sequence, method, seed=seed, steps_scale=steps_scale, options=options, imports=imports, folder=folder
    )
    _print_run(run)


@app.command(name="resume")
def resume(run: Positional[Path]) -> None:
    """Go on with a run that was stopped, exactly as if it had never been.

    Args:
        run: The run's folder.
    """
    from nestrl.training.train import resume as resume_run

    _print_run(resume_run(run))


@app.command(name="evaluate")
def evaluate(run: Positional[Path], episodes: int = 100) -> None:
    """Evaluate a run's policy: success of every task with its interval.

    Args:
        run: The run's folder.
        episodes: Of each task, from fixed starts.
    """
    from nestrl.report.tables import success_table
    from nestrl.training.result import Run

    if episodes < 1:
        raise BadConfig(f"--episodes is {episodes}; it must be at least 1.")
    print(success_table(Run(run).evaluate(episodes)))


@app.command(name="compare")
def compare(runs: Positional[tuple[Path, ...]]) -> None:
    """Compare runs: metrics with intervals, a row for each sequence and method.

    Args:
        runs: Folders of finished runs.
    """
    from nestrl.report.tables import comparison_table

    print(comparison_table(_open_runs(runs)))


@app.command(name="report")
def report(
    runs: Positional[tuple[Path, ...]],
    picture: Path | None = None,
    baseline: str | None = None,
    allow_mixed: bool = False,
    per_order: bool = False,
) -> None:
    """Show the retention matrix of each run and the comparison of all; or write a study's tables, figures and page.

    Args:
        runs: Folders of finished runs; or one folder of a study's results, which the report is written into.
        picture: Runs: draw success over the life and the matrices into this file (.png, .svg or .pdf), too, of what is
            not finished as far as it is; of a nested agent, how its levels worked, beside it as levels.png.
        baseline: Study: the method that the others are compared with; by default cloning, else the first.
        allow_mixed: Study: runs made under different conditions are flagged, not refused.
        per_order: Study: draw the retention matrices of each order, too.
    """
    from nestrl.report.level_strips import draw_levels
    from nestrl.report.pictures import draw_skills
    from nestrl.report.study_report import write_report
    from nestrl.report.tables import comparison_table, retention_table
    from nestrl.studies.study import open_study

    studies = [folder for folder in runs if (folder / "study.yaml").is_file()]
    if studies and len(runs) > 1:
        raise BadConfig(f"{studies[0]} is a study's folder; give one alone, or folders of runs.")
    if studies:
        if picture:
            raise BadConfig("--picture is for folders of runs; a study's figures go beside its report.")
        for table in write_report(open_study(runs[0]), baseline, allow_mixed=allow_mixed, per_order=per_order):
            print(table.markdown())
        print(f"Wrote {runs[0] / 'index.html'}, tables/ and figures/ beside it")
        return
    if baseline or allow_mixed or per_order:
        raise BadConfig("--baseline, --allow-mixed and --per-order are for a study's folder, not for runs.")
    opened = _open_runs(runs)
    if picture:  # first: what follows refuses runs that are not finished
        levels = draw_levels(opened, picture)
        draw_skills(opened, picture)
        print(f"Drew {', '.join(map(str, [picture, *levels]))}\n")
    for run in opened:
        print(f"{run.path}\n\n{retention_table(run)}\n")
    print(comparison_table(opened))


@app.command(name="video")
def video(
    run: Positional[Path], out: Path = Path("skills.webp"), tasks: tuple[str, ...] = (), episodes: int = 1
) -> None:
    """Play episodes of every task side by side into a moving picture: which skills the agent has, and how it does them.

    Args:
        run: The run's folder.
        out: The file: .webp, .gif, or .mp4 (with nestrl[video]).
        tasks: Only these.
        episodes: Of each task, one after the other, from the starts of `nestrl evaluate`.
    """
    import nestrl_envs  # noqa: F401  (finds an OpenGL that needs no display, before MuJoCo is imported)
    from nestrl.report.video import record_video
    from nestrl.training.loaded import load

    agent = load(run)
    print("A picture takes some 0.1 s where a processor draws it; ten tasks about a minute.", flush=True)
    for task, successes in record_video(agent, out, tasks, episodes).items():
        print(f"{task}: {successes} of {episodes}")
    print(f"Wrote {out}")


@app.command(name="study")
def study(file: Positional[Path], only: tuple[str, ...] = (), status: bool = False, retry_failed: bool = False) -> None:
    """Run every method of a study on every sequence and seed, side by side; a study that was stopped goes on.

    Args:
        file: The study, as YAML; scripts/studies/ has examples.
        only: Do now only the runs whose names fit a pattern: --only "nested-*-s0" means the nested agent's first.
        status: Only show how far it is.
        retry_failed: Go on with runs that have failed, too.
    """
    from rich import print as show

    from nestrl.studies.running import run_study
    from nestrl.studies.status import status as status_table

    done = None if status else run_study(file, only=only, retry_failed=retry_failed)
    show(status_table(file))
    if done and done.n_failed:
        raise NestrlError(f"{done.n_failed} runs have failed, as said above; mend the cause, and add --retry-failed.")


@app.command(name="tune")
def tune(search: Positional[Path], status: bool = False) -> None:
    """Search the options of methods on development sequences, whose results are never reported.

    Args:
        search: A YAML file: sequences, seeds, trials, and the space of each method.
        status: Show how far it is, and run nothing.
    """
    from nestrl.studies.tuning.search import status as status_of
    from nestrl.studies.tuning.search import tune as tune_methods

    print(status_of(search) if status else tune_methods(search))


@app.command(name="learn-controller")
def learn_controller(plan: Positional[Path], lives: int = 400, status: bool = False) -> None:
    """Learn the meta-controller of the nested agent over whole lives; a search that was stopped goes on.

    Args:
        plan: A YAML file: sequences of development, tasks a life, population; scripts/studies/ has one.
        lives: To learn from, all in all. Those that measure the learning curve come on top.
        status: Show the learning curve so far, and live nothing.
    """
    from nestrl.studies.lives.learning import learn
    from nestrl.studies.lives.learning import status as status_of

    print(status_of(plan, lives) if status else learn(plan, lives))


@app.command(name="levels")
def levels(run: Positional[Path | None] = None) -> None:
    """Show the levels of the nested agent: what adapts, how often, on what, towards what, and what it says to others.

    Args:
        run: A run's folder: how often each of its levels has adapted, too.
    """
    from nestrl.report.tables import levels_table
    from nestrl.training.result import Run

    print(levels_table(Run(run) if run else None))


@app.command(name="check")
def check(env_id: Positional[str], arguments: Arguments = (), imports: Imports = ()) -> None:
    """Say whether a gymnasium environment is fit for a sequence, and what to mend.

    Args:
        env_id: Any gymnasium id; my_package:MyArm-v0 imports the package first.
    """
    from nestrl.evaluation.fitness import check_environment
    from nestrl.training.config import import_modules

    import_modules(imports)
    findings = check_environment(env_id, options_in(arguments))
    for finding in findings:
        print(f"{finding.level:<6}{finding.what}" + (f"\n      -> {finding.remedy}" if finding.remedy else ""))
    if any(finding.level == "error" for finding in findings):
        raise NestrlError(f"{env_id} is not fit for a sequence yet; mend the errors above.")


@app.command(name="reference")
def reference(
    source: Positional[str],
    seeds: tuple[int, ...] = (0, 1, 2),
    steps_scale: float = 1.0,
    folder: Path = Path("runs/references"),
    settings: Settings = (),
    imports: Imports = (),
) -> None:
    """Train each task of a sequence from scratch: the reference curves that forward transfer is measured against.

    Args:
        source: A run's folder (the curves will fit that run), a sequence's name, or a YAML file.
        seeds: One training a task and seed, where none is stored yet.
        steps_scale: Every segment is this many times as long (not for a run's folder, which has its own settings).
        folder: Where the runs go; one that was stopped goes on.
    """
    from nestrl.training.display import display_for_here
    from nestrl.training.from_scratch import make_references, reference_config

    config = reference_config(source, display_for_here(), steps_scale, options_in(settings), imports)
    for path in make_references(config, seeds, folder, display_for_here):
        print(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exits with 2 after a mistake or a failure of the world, 130 after Ctrl-C, 1 if unheard."""
    if sys.stdout is None:  # it was closed
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for as long as the process lives)
    sys.path.insert(0, "")  # as with `python -m`: packages in the current folder can be imported
    try:
        app.cli(
            args=spelled_out(sys.argv[1:] if arguments is None else arguments),
            prog="nestrl",
            description="Train one agent through a sequence of robot tasks and see how much of each skill is left.",
            use_underscores=False,
        )
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else it fails again at the exit
        if error.errno == errno.EPIPE:  # whoever read the output has had enough, as in `nestrl report ... | head`
            raise SystemExit(1) from None
        print("nestrl: the disk that takes the output is full; what was saved is safe.", file=sys.stderr)
        raise SystemExit(2) from None
    except NestrlError as error:
        _end(error, str(error), 2)
    except MemoryError as error:
        _end(error, f"not enough memory; fewer simulations (agent.n_envs) need less. {error}".rstrip(), 2)
    except KeyboardInterrupt as stop:
        _end(stop, "stopped.", 130)


def _end(why: BaseException, told: str, status: int) -> NoReturn:
    """Say why it ends, with the notes that the failure has collected on its way, and end."""
    print("\n".join([f"nestrl: {told}", *getattr(why, "__notes__", ())]), file=sys.stderr)
    raise SystemExit(status) from None


def _open_runs(paths: Sequence[Path]) -> "list[Run]":
    from nestrl.report.groups import copies
    from nestrl.report.tables import differing_versions
    from nestrl.training.result import Run

    if not paths:
        raise BadConfig("give at least one run's folder.")
    runs = [Run(path) for path in {path.resolve(): path for path in paths}.values()]
    for sentence in [*differing_versions(runs), *copies(runs)]:
        print(f"nestrl: {sentence}", file=sys.stderr)
    return runs


def _print_run(run: "Run") -> None:
    from nestrl.report.tables import metrics_table, retention_table

    summary = run.folder.summary()
    print(f"\n{retention_table(run)}\n\n{metrics_table(run)}\n")
    if run.how_to_compare:
        print(run.how_to_compare)
    spent = ", ".join(f"{activity} {seconds:.0f} s" for activity, seconds in summary["seconds"].items())
    print(f"{spent}; evaluation {summary['share_of_evaluation']:.0%} of it; {summary['steps_per_second']:,.0f} steps/s")
    print(f"run: {run.path}")


if __name__ == "__main__":
    main()
