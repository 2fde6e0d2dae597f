"""List the feature extractors by name."""

from distal.errors import ConfigError, nearest_name
from distal.metrics.extractor import ExtractorBuilder
from distal.metrics.inception import build_inception, check_path
from distal.metrics.pool_cnn import build_pool_cnn
from distal.plugins import known_names, load_plugin

GROUP = "distal.extractors"

EXTRACTORS: dict[str, ExtractorBuilder] = {
    "inception": build_inception,
    "pool-cnn": build_pool_cnn,
}


def get_extractor(name: str) -> ExtractorBuilder:
    """Return the builder of this name, from here or from an installed package's entry points in `distal.extractors`.

    Raises ConfigError with the known names.
    """
    if name in EXTRACTORS:
        return EXTRACTORS[name]
    builder: ExtractorBuilder | None = load_plugin(GROUP, name)
    if builder is not None:
        return builder
    known = known_names(GROUP, EXTRACTORS)
    hint = nearest_name(name, known)
    raise ConfigError(
        f"evaluate.extractor: unknown name '{name}'{'; ' + hint if hint else '.'}\nKnown: {', '.join(known)}."
    )


def check_extractor(name: str, path: str | None) -> None:
    """Refuse at the start what `get_extractor` or its builder would refuse once the run is under way.

    Raises ConfigError for an unknown name or a missing path, EvaluationError for a local file that cannot be one.
    """
    if get_extractor(name) is build_inception:
        check_path(path)
