"""Each verb, and that mistakes end with one sentence and an exit code."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from nestrl.cli import main
from nestrl.methods import METHODS

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "training"))  # tiny_worlds

QUICK = [
    "--import=tiny_worlds",
    "--set=agent.network=[16]",
    "--set=agent.n_envs=8",
    "--set=agent.hyperparameters.n_steps=8",
    "--set=evaluation_episodes=2",
    "--set=final_episodes=4",
]
SEQUENCE = """
name: mine
tasks:
  - {name: calm, env: TinyPoint-v0}
  - {name: windy, env: TinyPoint-v0, kwargs: {wind: 0.1}}
steps: 200
"""
STUDY_THAT_DIVERGES = """
name: broken
sequences: [mine.yaml]
seeds: 1
methods: {finetune: {}}
imports: [tiny_worlds]
run:
  agent.network: [16]
  agent.n_envs: 8
  agent.hyperparameters: {n_steps: 8, learning_rate: 1.0e30}
"""


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NESTRL_REFERENCES", str(tmp_path / "references"))


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what is printed as the error; the exit code must be 2 and there is no traceback."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list"])
    shown = capsys.readouterr().out
    for name in ("nestrl/RoverPush-v0", "mixed-10", "cloning"):
        assert name in shown
    main(["list", "methods"])
    assert "mixed-10" not in capsys.readouterr().out
    main(["list", "methods", "--long"])
    table = capsys.readouterr().out
    assert "task identity" in table
    assert table.count("\n") == 2 + len(METHODS)


@pytest.mark.learning
def test_a_life_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(SEQUENCE)
    for method in ("finetune", "cloning"):
        main(["train", "mine.yaml", "--method", method, "--seed", "3", *QUICK])
    shown = capsys.readouterr().out
    assert "after windy" in shown
    assert "run: runs/mine-cloning-s3" in shown

    main(["resume", "runs/mine-cloning-s3"])
    main(["evaluate", "runs/mine-cloning-s3", "--episodes", "5"])
    assert "windy" in capsys.readouterr().out
    main(["reference", "runs/mine-cloning-s3", "--seeds", "0"])
    capsys.readouterr()
    main(["compare", "runs/mine-cloning-s3", "runs/mine-finetune-s3"])
    assert "mine finetune" in capsys.readouterr().out
    main(["report", "runs/mine-cloning-s3", "--picture", "report.png"])
    main(["report", "runs/mine-cloning-s3", "runs/mine-finetune-s3", "--picture", "skills.svg"])
    assert Path("report.png").stat().st_size > 5_000
    assert Path("skills.svg").stat().st_size > 5_000

    assert "resume" in fails(capsys, "train", "mine.yaml", "--method", "cloning", "--seed", "3", *QUICK)
    assert "--episodes is 0" in fails(capsys, "evaluate", "runs/mine-cloning-s3", "--episodes", "0")


@pytest.mark.learning
def test_levels_of_the_nested_agent_and_of_its_runs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(SEQUENCE)
    rungs = ["--method.levels", "task_code,dual_weights"]
    main(["train", "mine.yaml", "--method", "nested", *rungs, *QUICK])
    main(["train", "mine.yaml", "--method", "finetune", *QUICK])
    capsys.readouterr()
    main(["levels"])
    assert "meta_controller" in capsys.readouterr().out
    main(["levels", "runs/mine-nested-s0"])
    rows = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines() if "|" in line}
    assert rows["slow_policy"].rstrip(" |").endswith("–")
    updates = [int(rows[level].rstrip(" |").split()[-1]) for level in ("task_code", "fast_policy", "dual_weights")]
    assert updates[0] == updates[1] > updates[2] > 0
    assert "--method nested" in fails(capsys, "levels", "runs/mine-finetune-s0")


@pytest.mark.learning
def test_a_study_with_a_run_that_fails_ends_as_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE / "training"), *sys.path]))
    Path("mine.yaml").write_text(SEQUENCE)
    Path("study.yaml").write_text(STUDY_THAT_DIVERGES)
    assert "1 runs have failed" in fails(capsys, "study", "study.yaml")
    assert "NaN or infinite" in Path("results/broken/finished.jsonl").read_text()
    assert "1 runs have failed" in fails(capsys, "study", "study.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "mixed-11"], "mixed-10"),
        (["train", "quick-3", "--method", "clonning"], "cloning"),
        (["train", "quick-3", "--set", "agent.netwrk=3"], "agent.network"),
        (["train", "quick-3", "--set", "nothing"], "KEY=VALUE"),
        (["train", "quick-3", "--set", "evaluation_episodes=many"], "expected int"),
        (["train", "quick-3", "--set", "agent.algorithm=pppo"], "ppo"),
        (["train", "quick-3", "--import", "no_such_module_here"], "no_such_module_here"),
        (["train", "quick-3", "--seed", "-1"], "seed is -1"),
        (["train", "quick-3", "--steps-scale", "0"], "steps_scale is 0"),
        (["train", "quick-3", "--set", "agent.algorithm=os.path:join"], "use ppo or sac"),
        (["train", "quick-3", "--set", "agent.algorithm=:PPO"], "cannot be imported"),
        (["train", "quick-3", "--set", "agent.hyperparameters.n_steps=many"], "whole number"),
        (["train", "quick-3", "--set", "agent.hyperparameters.batch_size=1.5"], "whole number"),
        (["train", "quick-3", "--set", "agent.hyperparameters.target_kl=low"], "must be no text"),
        (["train", "quick-3", "--set", "agent.hyperparameters.stats_window_size=-1"], "at least 1"),
        (["train", "quick-3", "--set", "agent.hyperparameters=5", "--agent.hyperparameters.n_steps", "3"], "mapping"),
        (["train", "quick-3", "--set", "agent.n_envs=1e9"], "from 1 to 1,000,000"),
        (["train", "quick-3", "--set", "agent.device=meta"], "neither the CPU nor a GPU"),
        (["train", "quick-3", "--set", "agent.initial_log_std=1e308"], "without overflow"),
        (["train", "quick-3", "--set", "threads=99999999999"], "at most 1024"),
        (["train", "quick-3", "--set", "evaluation_episodes=2024-99-99"], "expected int"),
        (["train", "quick-3", "--method", "multitask", "--set", "agent.n_envs=2"], "cannot hold 3 tasks at once"),
        (["train", "quick-3", "--folder", "a" * 300], "File name too long"),
        (["train", "quick-3", "--method", "snapshots", "--method.episodes", "9"], "only the bandit tries"),
        (["train", "quick-3", "--method", "cms", "--method.factor", "2", "--method.periods", "4,2,1"], "give one"),
        (["train", "quick-3", "--method", "cloning", "--method.weight", "1e999"], "must be finite"),
        (["list", "sequences", "--long"], "nestrl list methods --long"),
        (["check", "..up:Env-v0"], "cannot be imported"),
        (["check", "nestrl_envs:nestrl/RoverReach-v0", "--set", "radus=1"], "radus"),
        (["train", "quick-3", "--set", "seed=3"], "argument of its own"),
        (["train", "missing.yaml"], "missing.yaml"),
        (["resume", "nowhere"], "not a run folder"),
        (["evaluate", "nowhere"], "not a run folder"),
        (["compare"], "at least one run"),
        (["compare", "nowhere"], "not a run folder"),
        (["report", "nowhere", "--picture", "skills.svg"], "not a run folder"),
        (["reference", "mixed-11"], "mixed-10"),
        (["check", "CartPoole-v1"], "CartPole"),
        (["levels", "nowhere"], "not a run folder"),
        (["train", "quick-3", "--method", "nested", "--method.levels", "dual_weight"], "dual_weights"),
        (["train", "quick-3", "--method", "nested", "--method.meta-controller=constant:shore=1"], "share"),
        (["train", "quick-3", "--method", "nested", "--method.levels"], "wants a value"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in fails(capsys, *arguments)
    assert not Path("runs").exists()


def test_check_of_a_fit_environment(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "CartPole-v1"])
    assert "ok" in capsys.readouterr().out


def test_check_of_an_unfit_environment(capsys: pytest.CaptureFixture[str]) -> None:
    gymnasium.register("cli/Endless-v0", entry_point="gymnasium.envs.classic_control:PendulumEnv")  # no time limit
    try:
        with pytest.raises(SystemExit) as stop:
            main(["check", "cli/Endless-v0"])
    finally:
        del gymnasium.registry["cli/Endless-v0"]
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert "not fit for a sequence" in said.err and "max_episode_steps" in said.out


def test_unknown_verb_exits_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["trian"])
    assert stop.value.code == 2


def test_ctrl_c_exits_with_130_and_says_how_to_resume(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nestrl.training.life.Life.learn", interrupted)
    Path("mine.yaml").write_text(SEQUENCE)
    with pytest.raises(SystemExit) as stop:
        main(["train", "mine.yaml", *QUICK])
    assert stop.value.code == 130
    assert "nestrl resume runs/mine-nested-s0" in capsys.readouterr().err


@pytest.mark.learning
def test_module_in_the_current_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text("raise RuntimeError('was imported')")
    code = "from nestrl.cli import main; main(['train', 'quick-3', '--import', 'my_package'])"
    environment = {"PYTHONPATH": f"{HERE.parent}:{HERE.parent / 'envs'}", "PATH": ""}
    command = [sys.executable, "-P", "-c", code]
    came = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert came.returncode == 2
    assert "was imported" in came.stderr


@pytest.mark.parametrize("arguments", [["list"], ["list", "methods", "--long"]])
def test_whoever_stops_listening_hears_no_traceback(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "nestrl.cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 1


def test_references_take_nothing_that_they_do_not_depend_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(SEQUENCE)
    assert "not on evaluation_episodes, final_episodes" in fails(capsys, "reference", "mine.yaml", *QUICK)
    assert "at least one seed" in fails(capsys, "reference", "mine.yaml", "--import=tiny_worlds", "--seeds")


def test_references_of_a_run_from_a_machine_with_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(SEQUENCE)
    main(["train", "mine.yaml", "--method=finetune", *QUICK])
    config = Path("runs/mine-finetune-s0/config.json")
    config.write_text(config.read_text().replace('"device": "cpu"', '"device": "cuda:7"'))
    main(["reference", "runs/mine-finetune-s0", "--seeds", "0"])
    assert "it goes on on the CPU" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_goes_to_a_full_disk() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "nestrl.cli", "list", "methods"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (
        2,
        "nestrl: the disk that takes the output is full; what was saved is safe.\n",
    )


def test_a_closed_output_is_no_error() -> None:
    for arguments in ("list sequences", "--help"):
        command = f"{sys.executable} -m nestrl.cli {arguments} >&-"
        done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
