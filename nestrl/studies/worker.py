"""One run in a process of its own: `python -m nestrl.studies.worker CONFIG FOLDER STUDY`.

CONFIG is a run's configuration as JSON, FOLDER where the run goes or goes on, STUDY the number of the process whose
death ends this one. It writes nothing but the run's folder; why it failed is the last line of its output.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

from nestrl.errors import NestrlError
from nestrl.training.config import RunConfig
from nestrl.training.trainer import run

PR_SET_PDEATHSIG = 1  # of prctl(2)
STOPPED = 130  # exit status after a SIGINT, as of a shell


def main(arguments: list[str]) -> int:
    """Run or resume; return the exit status: 0, 2 for a failure of the run, STOPPED after Ctrl-C."""
    config_path, folder, study = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    _die_with(study)
    config = RunConfig.from_json(config_path.read_text(), str(config_path))
    begun = (folder / "config.json").is_file()
    if not begun:
        _clear(folder)
    try:
        run(config, folder, resume=begun)
    except NestrlError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    return 0


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, so that no run is ever written by two studies."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had died before
        sys.exit(STOPPED)


def _clear(folder: Path) -> None:
    """Remove what a run leaves that was killed while it made its folder."""
    for name in ("versions.json", "command.txt"):
        (folder / name).unlink(missing_ok=True)
    for part in folder.glob("*.part"):
        part.unlink()


if __name__ == "__main__":
    sys.path.insert(0, "")  # as the command line does: packages in the current folder can be imported
    sys.exit(main(sys.argv[1:]))
