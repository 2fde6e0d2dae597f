"""Turn YAML, Python values and dotted overrides into a checked Config, or say which key is wrong and what is right.

This is the edge: what passes here has known names and allowed values, so bad configuration never reaches a cluster.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from distal.config import Config, ModelSection, OracleSection, TrainConfig
from distal.config.explain import explain
from distal.config.moved import refuse_moved
from distal.config.training import LEAST_IMAGES, MOST_IMAGES
from distal.errors import ConfigError, nearest_name
from distal.features import FEATURES
from distal.metrics.registry import DISTANCE, find_score
from distal.models import MODELS
from distal.nets import get_network
from distal.nets.frozen import FROZEN
from distal.oracle import ORACLES
from distal.query import STRATEGIES, Strategy
from distal.query.view import BY_FEATURES, FACTORS, ONLY_FEATURES, PAST
from distal.registry import Registry
from distal.run.seals import seal_yaml
from distal.train.augment import AUGMENTATIONS
from distal.train.optimizers import check_optimization
from distal.tree import apply_override, place_value, read_yaml

KINDS: dict[str, tuple[Registry[Any], type[BaseModel]]] = {
    "model": (MODELS, ModelSection),
    "oracle": (ORACLES, OracleSection),
}
"""Sections that are told apart by their kind: who knows the kinds, and what all of them have."""


def read_config(path: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file (or start from the defaults), apply ``key.sub=value`` overrides, and check the result.

    Values of overrides are YAML: ``query.batch=20``, ``pool.classes=[cat, dog]``, ``stop.fid=null``. A mapping of the
    file, such as model.regularizers, stands for the whole; an override changes one entry. The mapping `resolved`
    that a run directory's config.yaml carries is a record of that run and is not read.

    Raises:
        ConfigError: the file or an override is unreadable, a key is unknown, a value is refused.
    """
    tree = {} if path is None else read_yaml(Path(path))
    tree.pop("resolved", None)
    for override in sorted(overrides, key=lambda text: ".kind=" not in text):  # which says whose keys the others are
        apply_override(tree, override)
    return make_config(tree)


def override_config(config: Config, overrides: Iterable[str]) -> Config:
    """Apply ``key.sub=value`` overrides to a Config and check all but names in registries, as `read_config`."""
    tree = config.model_dump(mode="json")
    for override in overrides:
        apply_override(tree, override)
    return parse_config(_of_its_kind(tree, config))


def with_values(config: Config, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration's tree with the values of dotted keys in their places, unchecked."""
    tree = config.model_dump(mode="json")
    for key, value in values.items():
        place_value(tree, key, value)
    return _of_its_kind(tree, config)


def _of_its_kind(tree: dict[str, Any], before: Config) -> dict[str, Any]:
    """Leave out what a section with a kind held of its own before, where its kind is another now."""
    for name, (_, shared) in KINDS.items():
        own, old = tree[name], getattr(before, name).model_dump(mode="json")
        if isinstance(own, dict) and own.get("kind") != old["kind"]:
            kept = {key for key in own if key in shared.model_fields or key not in old or own[key] != old[key]}
            tree[name] = {key: own[key] for key in own if key in kept}
    return tree


def flatten(config: BaseModel) -> dict[str, Any]:
    """Return the configuration's values by their dotted keys, in the order of the tree."""
    return dict(_leaves(config.model_dump(mode="json")))


def make_config(tree: Mapping[str, Any]) -> Config:
    """Check a tree of plain values and build the Config from it.

    Raises:
        ConfigError: naming the first wrong key, what was given, what is allowed, and the nearest known name.
    """
    config = parse_config(tree)
    check_names(config)
    return config


def parse_config(tree: Mapping[str, Any]) -> Config:
    """Build the Config from a tree of plain values without looking names up: a script may have brought its own.

    Raises ConfigError as `make_config`, but for names that live in registries.
    """
    refuse_moved(tree)
    try:
        return Config.model_validate(_with_kinds(tree))
    except ValidationError as error:
        raise ConfigError(explain(error)) from None


def _with_kinds(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tree with its sections that have a kind checked by it; what is no section is left to be refused."""
    made = dict(tree) if isinstance(tree, Mapping) else {}
    for name, (registry, shared) in KINDS.items():
        given = made.get(name)
        kind = given.get("kind", shared.model_fields["kind"].default) if isinstance(given, Mapping) else None
        if not isinstance(kind, str):
            continue
        section = getattr(registry.find(kind), "section", shared)
        try:
            made[name] = section.model_validate(given)
        except ValidationError as error:
            raise ConfigError(explain(error, section, f"{name}.", f" with {name}.kind={kind}")) from None
    return made if isinstance(tree, Mapping) else tree


def check_names(config: Config, strategy: Strategy | None = None) -> None:
    """Check the names that live in registries, and the keys that must agree with one another.

    strategy: a script's own, in place of the one that `query.strategy` names.

    Raises:
        ConfigError: an unknown name, with the known ones and the nearest match; or two keys that do not fit.
    """
    _check_needs(strategy or STRATEGIES.find(config.query.strategy), config, "query.strategy")
    _check_needs(STRATEGIES.find(config.query.cold_start, "query.cold_start"), config, "query.cold_start")
    _check_scope(config)
    ORACLES.find(config.oracle.kind)
    get_network(config.net.name, 8)
    FROZEN.find(config.net.backbone)
    FEATURES.find(config.evaluate.extractor, "evaluate.extractor")
    if config.features.network != "auto":
        FEATURES.find(config.features.network, "features.network")
    stop = config.stop
    if stop.goal is not None and stop.fid is not None:
        raise ConfigError("stop.fid: stop.goal is set as well, and a run follows one goal.\nLeave one of them out.")
    find_score(stop.followed.metric if stop.followed else DISTANCE, config.evaluate, "stop.goal.metric")
    check_optimization(config.train)
    MODELS.find(config.model.kind).check(config)
    for name in config.train.augment:
        AUGMENTATIONS.find(name)
    _check_synthesis(config)
    workers = config.train.workers
    if workers and config.pool.shards == 0:
        raise ConfigError(
            f"pool.shards: 0 holds the pool in the driver's process; {workers} training workers cannot reach it.\n"
            "Set pool.shards=1 or more, or train.workers=0."
        )
    fewest = config.train.min_workers
    if fewest is not None and fewest > workers:
        raise ConfigError(
            f"train.min_workers: {fewest} is more than train.workers={workers}.\nLower it, or leave it out."
        )
    _check_batch(config.train)
    if config.stop.labels is not None and config.stop.labels > config.rounds * config.query.batch:
        raise ConfigError(
            f"stop.labels: a budget of {config.stop.labels} cannot be spent in {config.rounds} rounds "
            f"of {config.query.batch} labels.\nRaise rounds or query.batch, or lower stop.labels."
        )


def _check_batch(train: TrainConfig) -> None:
    """Raise ConfigError where the global batch and its parts do not go together."""
    each, workers = train.batch_per_worker, max(1, train.workers)
    if each is not None and train.batch_size not in (None, each * workers):
        raise ConfigError(
            f"train.batch_per_worker: {each} images of {workers} workers are {each * workers}, and "
            f"train.batch_size={train.batch_size} is set as well.\n"
            "Leave one of them out (null): batch_size to keep the batch of each worker, batch_per_worker to keep the "
            "global one."
        )
    if not LEAST_IMAGES <= train.global_batch <= MOST_IMAGES:
        raise ConfigError(
            f"train.batch_per_worker: {each} images of {workers} workers are a global batch of {train.global_batch}; "
            f"expected {LEAST_IMAGES} to {MOST_IMAGES}.\nSet another train.batch_per_worker."
        )
    if train.global_batch % workers:
        raise ConfigError(
            f"train.batch_size: {train.global_batch} images cannot be divided evenly among {workers} workers.\n"
            "Set train.batch_size to a multiple of train.workers, or train.batch_per_worker in its place."
        )


def _check_synthesis(config: Config) -> None:
    """Raise ConfigError where no generated image would be asked about, or the model cannot say which one to ask."""
    share, batch = config.query.synthesize, config.query.batch
    if share == 0.0:
        return
    if int(share * batch + 1e-9) == 0:
        raise ConfigError(
            f"query.synthesize: {share:g} of query.batch={batch} is less than one image.\n"
            f"Set at least {1 / batch:.3g}, or 0 to ask about none."
        )
    if missing := {"probs", "embeddings"} - MODELS.find(config.model.kind).gives:
        raise ConfigError(
            f"query.synthesize: model.kind={config.model.kind} does not give {', '.join(sorted(missing))}.\n"
            "Set query.synthesize=0, or another model."
        )


def _check_scope(config: Config) -> None:
    """Raise ConfigError where a round cannot look at the part of the pool that it is told to look at."""
    query = config.query
    if query.neighbours is not None and config.classifier == "head":
        raise ConfigError(
            "query.neighbours: neighbours are found by frozen features, and classifier=head makes none.\n"
            "Set classifier=auto or classifier=probe, or query.subpool in place of query.neighbours."
        )
    if query.subpool is not None and query.subpool < query.batch:
        raise ConfigError(
            f"query.subpool: {query.subpool} rows are looked at in a round that asks query.batch={query.batch}.\n"
            f"Expected many times query.batch: {1000 * query.batch} for example, or null for the whole pool."
        )


def _check_needs(strategy: Strategy, config: Config, key: str) -> None:
    """Raise ConfigError where the model does not give what a strategy needs. key: where the strategy is named."""
    gives = MODELS.find(config.model.kind).gives
    if "realism" in gives:
        gives |= PAST
    if config.classifier != "head":
        gives |= {"probs", *BY_FEATURES}
    for need in sorted(strategy.tensors - gives):
        if need in ONLY_FEATURES:
            raise ConfigError(
                f"{key}: '{strategy.name}' needs '{need}', of frozen features, and classifier=head makes none.\n"
                "Set classifier=auto or classifier=probe, or another strategy."
            )
        hint = nearest_name(need, [*gives, *FACTORS])
        raise ConfigError(
            f"{key}: '{strategy.name}' needs '{need}', which model.kind={config.model.kind} does not give"
            f"{'; ' + hint if hint else '.'}\n"
            f"It gives: {', '.join(sorted(gives))}. Set another strategy or model.kind, or mend its needs."
        )


def print_config(config: Config, resolved: Mapping[str, Any] | None = None) -> str:
    """Write the whole tree as YAML that `read_config` reads back; `resolved` is a record at its end, and sealed."""
    tree = config.model_dump(mode="json")
    if resolved is None:
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return seal_yaml(yaml.safe_dump({**tree, "resolved": dict(resolved)}, sort_keys=False, allow_unicode=True))


def describe_config(config: BaseModel, ascii: bool = False) -> str:
    """Write the whole tree as YAML with each field's description as a comment above it. ascii: escape other letters."""
    return "\n".join(_described(config, 0, ascii)) + "\n"


def differing_keys(one: BaseModel, other: BaseModel) -> list[str]:
    """Return the dotted keys whose values differ, in the order of the tree."""
    flat_one, flat_other = flatten(one), flatten(other)
    return [key for key in {**flat_one, **flat_other} if flat_one.get(key) != flat_other.get(key)]


def _described(section: BaseModel, indent: int, ascii: bool) -> Iterable[str]:
    pad = "  " * indent
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield f"\n{pad}# {(type(value).__doc__ or '').splitlines()[0]}"
            yield f"{pad}{name}:"
            yield from _described(value, indent + 1, ascii)
        else:
            yield f"{pad}# {field.description}"
            # A one-element flow list, without its brackets, is the value in one line whatever its type.
            inline = yaml.safe_dump([value], default_flow_style=True, allow_unicode=not ascii, width=10_000)
            inline = inline.strip()[1:-1]
            yield f"{pad}{name}: {inline}"


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
