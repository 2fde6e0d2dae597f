"""The section `model:` of an ensemble: how many members, of which kind, how they come to differ, how they vote."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError

from distal import streams
from distal.config import Config, GanConfig, ModelSection
from distal.errors import ConfigError
from distal.models.registry import MODELS


def _of_its_kind(given: Any) -> Any:
    """Check a member's section by its kind."""
    if not isinstance(given, Mapping):
        return given
    section = MODELS.find(str(given.get("kind", "gan")), "model.member.kind").section
    try:
        return section.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"its {where}: {first['msg']}; {where} was {first['input']!r}") from None


class EnsembleConfig(ModelSection):
    """The ensemble's own."""

    kind: Literal["ensemble"] = Field(
        "ensemble", description="model by name: gan, vae, ensemble, or one that a package adds"
    )
    members: Annotated[int, Field(ge=2, le=64)] = Field(4, description="models in the ensemble")
    member: Annotated[SerializeAsAny[ModelSection], BeforeValidator(_of_its_kind)] = Field(
        default_factory=GanConfig, description="the section `model` of each member: its kind and that kind's keys"
    )
    how: Literal["bagging", "boosting", "seeds", "snapshots"] = Field(
        "bagging",
        description="bagging: each member learns from a bootstrap of labeled and unlabeled rows; seeds: all from all "
        "rows, from other first weights; boosting: one after another, each from the rows that those before it draw too "
        "rarely (AdaGAN); snapshots: one model whose steps fall and rise again, kept at the end of each fall. bagging "
        "and seeds update every member train.steps times a round, boosting and snapshots share these among them",
    )
    combine: Literal["averaging", "voting", "stacking"] = Field(
        "averaging",
        description="class probabilities: the mean of the members', the share of members for a class, or what a "
        "logistic combiner makes of theirs (stacking), fitted each round to a fifth of each class's labels, which the "
        "members are not shown",
    )


def ensemble_section(config: Config) -> EnsembleConfig:
    """Return the section `model` of an ensemble's configuration. ConfigError where it is another's."""
    if not isinstance(config.model, EnsembleConfig):
        raise ConfigError(f"model.kind: {config.model.kind} is no ensemble.")
    return config.model


def member_config(config: Config, member: int) -> Config:
    """Return the configuration of one member: its section for the ensemble's, and a seed of its own."""
    seed = int(streams.stream(config.seed, "ensemble", member).integers(2**62))
    return config.model_copy(update={"model": ensemble_section(config).member, "seed": seed})
