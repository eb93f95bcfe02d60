"""The weights that a training ends with: the last ones, or an average over training."""

from collections.abc import Callable

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from models.classifiers.classifier import Classifier
from models.training.parts import Averaging
from models.training.settings import AveragingSettings


class AveragedWeights(Averaging):
    """Keeps an average of the weights, as a copy of the classifier, and puts it into the classifier at the end.

    Batch statistics are measured anew for the average, of EMA too: an average of statistics belongs to the weights of
    many steps, and not to their average.
    """

    def __init__(self, average: Callable[..., None]) -> None:
        super().__init__()
        self._average = average
        self.averaged: AveragedModel | None = None

    def begin(self, classifier: Classifier) -> None:
        """An average of nothing yet."""
        self.averaged = AveragedModel(classifier, multi_avg_fn=self._average)

    def add(self, classifier: Classifier) -> None:
        """Take the weights as they are now into the average."""
        assert self.averaged is not None, "the loop calls begin first"
        self.averaged.update_parameters(classifier)

    def finish(self, classifier: Classifier, refresh: Callable[[], None]) -> None:
        """Put the average into the classifier, and measure its batch statistics."""
        assert self.averaged is not None, "the loop calls begin first"
        classifier.load_state_dict(self.averaged.module.state_dict())
        refresh()


class StochasticAverage(AveragedWeights):
    """SWA: the plain mean of the weights after each epoch from the share `start` on, with the rate `lr` from there.

    Source: Izmailov et al. 2018, algorithm 1, with a constant rate and a cycle of one epoch.
    """

    def __init__(self, *, start: float, lr: float) -> None:
        super().__init__(get_swa_multi_avg_fn())  # type: ignore[no-untyped-call]
        self.start, self.lr = start, lr

    def rate(self, scheduled: float, progress: float) -> float:
        """The schedule's, then the constant one."""
        return scheduled if progress < self.start else self.lr

    def collect(self, classifier: Classifier, progress: float) -> None:
        """Take the weights into the mean."""
        if progress > self.start:
            self.add(classifier)


class ExponentialAverage(AveragedWeights):
    """EMA: after each step, the average keeps the share `decay` and takes the rest from the weights."""

    def __init__(self, *, decay: float) -> None:
        super().__init__(get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def after_step(self, classifier: Classifier, progress: float) -> None:  # noqa: ARG002  # the same at all times
        """Take the weights into the average."""
        self.add(classifier)


def build_averaging(settings: AveragingSettings | None) -> Averaging:
    """The averaging of a recipe; without settings the last weights are kept."""
    if settings is None:
        return Averaging()
    if settings.kind == "swa":
        assert settings.start is not None and settings.lr is not None, "the settings check it"
        return StochasticAverage(start=settings.start, lr=settings.lr)
    assert settings.decay is not None, "the settings check it"
    return ExponentialAverage(decay=settings.decay)
