"""The process that a study's runs are forked from: `python -m nestrl.studies.worker STUDY`.

STUDY is the number of the study's process, with which this one dies. A run writes nothing but its folder; why it failed
is the last line of its output.
"""

import sys
import traceback
from pathlib import Path

import torch._dynamo  # noqa: F401  (else the first optimizer of every run imports it)

from nestrl.errors import NestrlError, in_words
from nestrl.studies.nursery import STOPPED, serve
from nestrl.training.config import RunConfig
from nestrl.training.run_folder import RunFolder, versions
from nestrl.training.trainer import run


def make_run(config_path: Path, folder: Path) -> int:
    """Run or resume; return the exit status: 0, 2 for a failure of the run, STOPPED after Ctrl-C."""
    try:
        config = RunConfig.from_json(config_path.read_text(), str(config_path))
        run(config, folder, resume=RunFolder(folder).begun)
    except NestrlError as error:
        print(error, file=sys.stderr)
        return 2
    except Exception as error:  # whatever an environment or a method raises; its notes come before the reason
        traceback.print_exc()
        print(in_words(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.path.insert(0, "")  # as the command line does: packages in the current folder can be imported
    versions()  # so that the runs name the commit whose code they run, and not one that comes meanwhile
    serve(make_run, study=int(sys.argv[1]))
