"""Make the widget that labels in a notebook, where its package is installed."""

from typing import TYPE_CHECKING

from distal.errors import ConfigError

if TYPE_CHECKING:
    from distal.driver.learner import ActiveLearner
    from distal.notebook.widget import LabelWidget


def label_widget(learner: "ActiveLearner", annotator: str = "notebook") -> "LabelWidget":
    """Go on until labels are awaited, and return a widget that shows those images and keeps what is answered.

    Run its cell again once all are answered: the run then trains, and the next images show.

    Raises:
        ConfigError: the extra `notebook` is not installed, or the oracle answers by itself. DistalError: as `run()`.
    """
    try:
        from distal.notebook.widget import LabelWidget
    except ImportError as error:
        raise ConfigError(
            f"label_widget: {error}.\nInstall what it needs: pip install 'distal[notebook]'. learner.query() and "
            "learner.answer() need nothing."
        ) from None
    asked = learner.query()
    outcome = learner.outcome_
    ended = "The run has ended" + (f": {outcome.message}" if outcome is not None else "")
    end = ended if asked is None else "All are answered. Run this cell again for the next round."
    return LabelWidget(learner, asked, end, annotator)
