"""What the command lines of training share: exit codes and the progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tqdm import tqdm

from sam.automatic.recommended_settings import RecommendedSettingsError
from sam.checkpoints.checkpoint_files import CheckpointError
from sam.export.onnx_decoder import ParityError
from training.data.manifest import ManifestError
from training.evaluation.baselines import BaselineError
from training.evaluation.plots import PlotError
from training.loop.optimisation import TrainStopped
from training.loop.run_folder import TrainError

BAD_INPUT = 2
STOPPED = 3


def exit_code_of(run: Callable[[], object]) -> int:
    """Run a command; what is wrong with its input is told in one line on stderr."""
    try:
        run()
    except TrainStopped as stopped:
        return _complain(f"{stopped}; the same command goes on from there", code=STOPPED)
    except (
        ManifestError,
        CheckpointError,
        RecommendedSettingsError,
        ParityError,
        TrainError,
    ) as error:
        return _complain(error)
    except (BaselineError, PlotError) as error:
        return _complain(error)
    except OSError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command resumes a training run", code=STOPPED)
    return 0


def _complain(error: object, *, code: int = BAD_INPUT) -> int:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    sys.stderr.write(f"{'error' if code == BAD_INPUT else 'stopped'}: {first_line}\n")
    return code


class ProgressBar:
    """A progress bar with the time that is left; it fits `on_progress`."""

    def __init__(self, *, is_shown: bool = True) -> None:
        self.is_shown = is_shown

    def __enter__(self) -> ProgressBar:
        layout = "{percentage:3.0f}% |{bar:30}| {elapsed}, {remaining} left {desc}"
        self._bar = tqdm(total=100.0, bar_format=layout, disable=not self.is_shown)
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, fraction: float, message: str, **figures: float) -> None:
        self._bar.set_description_str(message, refresh=False)
        self._bar.update(100.0 * fraction - self._bar.n)
