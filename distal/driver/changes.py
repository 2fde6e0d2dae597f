"""Say what of its configuration a run may change when it is taken up again."""

from distal.checkpoints import SavedRun
from distal.config import Config, TrainConfig
from distal.errors import RunError
from distal.resolve import differing_keys

MAY_CHANGE = (
    "address",
    "autoscaling",
    "wait_s",
    "driver_cpus",
    "storage",
    "name",
    "rounds",
    "stop.",
    "pool.path",
    "pool.shards",
    "pool.cache",
    "pool.prepared",
    "pool.cpus_per_shard",
    "pool.gpus_per_shard",
    "pool.silent_s",
    "train.every",
    "train.workers",
    "train.min_workers",
    "train.threads",
    "train.cpus_per_worker",
    "train.gpus_per_worker",
    "train.on_divergence",
    "train.explosion",
    "train.variety_steps",
    "train.checkpoint_s",
    "evaluate.path",
    "oracle.url",
    "oracle.images",
    "prove.",
    "oracle.host",
    "oracle.port",
    "oracle.relabel",
    "oracle.repeat",
    "oracle.wait_s",
)
"""Keys that a run may change when it is taken up again; the paths only to the same images, and more in the pool."""


def batch_as_given(train: TrainConfig, saved: SavedRun | None) -> dict[str, int | None]:
    """Return the keys of the global batch as config.yaml keeps them: as a run that has begun was given them."""
    train = train if saved is None else saved.given.train
    return {"batch_size": train.batch_size, "batch_per_worker": train.batch_per_worker}


def settle_batch(train: TrainConfig, saved: SavedRun | None) -> TrainConfig:
    """Return the same with its global batch settled: that of the run, where it was given in these same words."""
    if saved is None or batch_as_given(train, None) != batch_as_given(train, saved):
        return train.settled()
    return train.settled(saved.config.train.batch_size)


def refuse_another(uri: str, saved: Config, now: Config) -> None:
    """Refuse to continue a run under a configuration that is another's.

    Raises:
        RunError: keys differ that may not; where files arrived with labels of a new class, it says how to go on.
    """
    changed = [key for key in differing_keys(saved, now) if not key.startswith(MAY_CHANGE)]
    known, present = saved.pool.classes or [], now.pool.classes or []
    arrived = [name for name in present if name not in known]
    if arrived and changed == ["pool.classes"]:
        raise RunError(
            f"{uri}: a run of the classes {', '.join(known)[:200]}; the pool also has {', '.join(arrived)[:200]} now.\n"
            "A run keeps its classes: leave the label of those rows empty, or take their files out of the pool.\n"
            "With them, begin another run, under another name=..."
        )
    if changed:
        raise RunError(
            f"{uri}: holds a run with another configuration; it differs in {', '.join(changed[:5])}, "
            "which a run keeps.\n"
            f"Give this one another name=..., or leave that as it was and continue: distal resume {uri}\n"
            f"What may change: {', '.join(key + '*' if key.endswith('.') else key for key in MAY_CHANGE)}."
        )
