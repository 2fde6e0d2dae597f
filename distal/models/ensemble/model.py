"""Hold the members of an ensemble under training, in one process, as one model: updated, drawn from, scored, kept."""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from distal.communicator import Communicator, on_first_rank
from distal.config import Config, GanConfig, ModelSection
from distal.errors import ConfigError
from distal.models.ensemble.division import connect_all, divided, gathered, mean_losses, trained_here
from distal.models.ensemble.rows import Reweighted, bagged, boosted, seeded
from distal.models.ensemble.scorer import GIVES, NEEDED, EnsembleScorer
from distal.models.ensemble.section import EnsembleConfig, ensemble_section, member_config
from distal.models.ensemble.stacking import fit_weights, learned_from, to_fit
from distal.models.protocol import Bare, Model
from distal.models.registry import MODELS, bare_model
from distal.nets.weights import pack
from distal.train.checkpoint import Checkpoint, facts_of, with_manifest
from distal.train.round import Settling
from distal.train.rows import TrainingRows

SAMPLED = "reweighted"
"""The sample of the pool that a member learns from by boosting."""

STACKED = "stacking"
"""The weights of the members that draw and score; there is no such file without `combine: stacking`."""


class Ensemble:
    """Own the members, and the number of updates done.

    shown: what draws and scores, with snapshots those that were kept of the one member that learns. turn: by boosting,
    the part of the round, counted from the first, whose rows are in use. Members that other ranks train are as they
    were when the ranks were last gathered.
    """

    advice = "Halve the learning rates under model.member"
    section: ClassVar[type[ModelSection]] = EnsembleConfig
    gives: ClassVar[frozenset[str]] = GIVES

    def __init__(self, config: Config, members: list[Model], shape: tuple[int, int, int]) -> None:
        self.config, self.own, self.members, self.shape = config, ensemble_section(config), members, shape
        self.device, self.step, self.pace = members[0].device, 0, 1.0
        self.snapshots: list[Model] = []
        self.turn, self.reweighted = -1, Reweighted(np.zeros(0, np.int64), np.zeros(0))
        self.weights: Tensor | None = None
        self._rows: dict[int, TrainingRows] = {}
        self._of: TrainingRows | None = None
        self._learned: TrainingRows | None = None
        self._behind = False

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise ConfigError where a member's section names what is not known, or a member cannot be one."""
        own = ensemble_section(config)
        kind = MODELS.find(own.member.kind, "model.member.kind")
        missing = NEEDED - kind.gives
        if own.member.kind == "ensemble" or missing:
            raise ConfigError(
                f"model.member.kind: {own.member.kind} "
                f"{'is an ensemble itself' if not missing else 'does not give ' + ', '.join(sorted(missing))}.\n"
                "Take gan, vae, autoencoder, or a package's model whose scorer gives probs, embeddings and realism."
            )
        if own.how in ("boosting", "snapshots") and config.train.steps < own.members:
            raise ConfigError(
                f"model.members: {own.members} members cannot share train.steps={config.train.steps} updates.\n"
                "Raise train.steps, or lower model.members."
            )
        if isinstance(own.member, GanConfig) and own.member.privacy.noise is not None:
            raise ConfigError(
                "model.member.privacy: what the members spend adds up, and that is not counted.\n"
                "Take one private model, or set model.member.privacy.noise=null."
            )
        kind.check(member_config(config, 0))

    @classmethod
    def create(
        cls, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> "Ensemble":
        """Start untrained, all weights a function of config.seed. ConfigError for unknown names in config."""
        cls.check(config)
        shape = (image_size, channels, classes)
        own = ensemble_section(config)
        learning = 1 if own.how == "snapshots" else own.members
        kind = MODELS.find(own.member.kind)
        return cls(config, [kind.create(member_config(config, i), *shape, device) for i in range(learning)], shape)

    @classmethod
    def bare(cls, config: Config, image_size: int, channels: int, classes: int) -> Bare:
        """Return the networks of all members without weights; they learn one after another, an image looks at one."""
        own = ensemble_section(config)
        one = bare_model(member_config(config, 0), image_size, channels, classes)
        learning = 1 if own.how == "snapshots" else own.members
        return Bare([], lambda images: images) if one is None else Bare([*one.modules] * learning, one.look)

    @property
    def shown(self) -> list[Model]:
        """Return the members that draw and score."""
        return self.snapshots or self.members

    def set_pace(self, pace: float) -> None:
        """Make all further steps this multiple of what the configuration asks for."""
        self.pace = pace
        for member in self.members:
            member.set_pace(pace)

    def advance(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        """Make one update of each member, or of the one whose turn it is; return the mean losses by name.

        Members that learn independently, at least one for each rank, are updated by one rank each: see `gather`.
        """
        within, across = divided(self.own, comm)
        if self._of is not rows or self._learned is None:
            self._of, self._rows = rows, {}
            self._learned = learned_from(rows, self.config.seed) if self.own.combine == "stacking" else rows
            connect_all(self.members, within)
        if self.own.how == "snapshots":
            losses = self._fall(self._learned, comm)
        elif self.own.how == "boosting":
            losses = self._boost(self._learned, comm)
        else:
            here, learned = trained_here(len(self.members), across), self._learned
            done = {i: self.members[i].advance(self._rows_of(learned, i), within) for i in here}
            losses = mean_losses(done, len(self.members), across)
            self._behind = across.size > 1
        self.step += 1
        return losses

    def gather(self, comm: Communicator) -> None:
        """Bring to every rank the members that others have trained since this was last called."""
        if self._behind:
            self.members = gathered(self.members, divided(self.own, comm)[1], self.shape)
            # The next round connects all networks over all ranks again, so begin anew even with the same rows.
            self._behind, self._of = False, None

    def _stacked(self, rows: TrainingRows) -> Tensor | None:
        """Return the members' weights by the labels that they were not shown; None where there are none."""
        fitted = to_fit(rows, self.config.seed)
        if fitted is None:
            return None
        images, labels = fitted
        said = [member.scorer()(images)["probs"].cpu() for member in self.shown]
        return fit_weights(torch.stack(said, 1), labels)

    def _rows_of(self, rows: TrainingRows, member: int) -> TrainingRows:
        if member not in self._rows:
            chosen = bagged if self.own.how == "bagging" else seeded
            self._rows[member] = chosen(rows, self.config.seed, member)
        return self._rows[member]

    def _fall(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        """Update the one member by a step of its cycle, and keep a copy at its end (Huang et al. 2017, equation 2)."""
        cycle = self.config.train.steps // self.own.members
        model = self.members[0]
        model.set_pace(self.pace * 0.5 * (1 + math.cos(math.pi * (self.step % cycle) / cycle)))
        losses = model.advance(rows, comm)
        if (self.step + 1) % cycle == 0:
            copied = type(model).from_files(model.config, model.to_files(), self.device, self.shape)
            self.snapshots = [*self.snapshots, copied][-self.own.members :]
        return losses

    def _boost(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        """Update the member whose part of the round it is, once its part has begun from rows that the others miss."""
        steps, count = self.config.train.steps, self.own.members
        member = self.step % steps * count // steps
        turn = self.step // steps * count + member
        if turn != self.turn:
            before, shape = self.members[:member], (self.shape[2], self.config.net.latent_dim)
            if before:
                reweigh = (rows, before, *shape, self.config.seed, turn)
                self.reweighted = on_first_rank(comm, lambda: boosted(*reweigh))
            self.turn, self._rows = turn, {}
        if member not in self._rows:
            seed = self.config.seed
            learned = seeded(rows, seed, member) if member == 0 else self.reweighted.of(rows, seed, member)
            self._rows = {member: learned}
        return self.members[member].advance(self._rows[member], comm)

    def settle(self, rows: TrainingRows, comm: Communicator) -> None:
        """Let every member take what it takes from the rows, those that learn no more as well; weigh them, to stack."""
        within, across = divided(self.own, comm)
        own = [self.members[i] for i in trained_here(len(self.members), across)]
        for model in (*own, *self.snapshots):
            if isinstance(model, Settling):
                model.settle(rows, within)
        self._behind = across.size > 1
        self.gather(comm)
        if self.own.combine == "stacking":
            self.weights = on_first_rank(comm, lambda: self._stacked(rows))

    @torch.no_grad()
    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return uint8 images [n, C, H, W]; which member draws a row is a function of its latent alone."""
        which, latents = chosen(latents, len(self.shown))
        size, channels, _ = self.shape
        images = torch.zeros(len(labels), channels, size, size, dtype=torch.uint8, device=self.device)
        for i, member in enumerate(self.shown):
            mine = which == i
            if bool(mine.any()):
                images[mine.to(self.device)] = member.generate(latents[mine], labels[mine])
        return images

    def scorer(self) -> EnsembleScorer:
        """Return what scores by all members together."""
        return EnsembleScorer([member.scorer() for member in self.shown], self.own.combine, self.weights)

    @classmethod
    def read_scorer(cls, data: bytes, device: torch.device | str = "cpu", gains: bool | None = None) -> EnsembleScorer:
        """Rebuild a scorer from its `to_bytes`."""
        return EnsembleScorer.from_bytes(data, device, gains)

    def modules(self) -> dict[str, nn.Module]:
        """Return the networks of the members that learn, by member and name."""
        return {f"member{i}.{name}": m for i, member in enumerate(self.members) for name, m in member.modules().items()}

    def to_files(self) -> dict[str, bytes]:
        """Return the whole state as files by name: each member's own, before whose names its own stands.

        RuntimeError where other ranks have trained members since the last `gather`: theirs would be lost.
        """
        if self._behind:
            raise RuntimeError("ensemble: members that other ranks train are not here; every rank has to gather first.")
        kept = [*((f"member{i:02d}", member) for i, member in enumerate(self.members))]
        kept += [(f"snapshot{i:02d}", snapshot) for i, snapshot in enumerate(self.snapshots)]
        files = {f"{prefix}.{name}": data for prefix, member in kept for name, data in member.to_files().items()}
        sample = {"row_ids": self.reweighted.row_ids, "weights": self.reweighted.weights}
        files[f"{SAMPLED}.safetensors"] = pack({name: torch.from_numpy(array) for name, array in sample.items()})
        if self.weights is not None:
            files[f"{STACKED}.safetensors"] = pack({"weights": self.weights})
        own = {"turn": self.turn, "snapshots": len(self.snapshots)}
        return with_manifest(files, facts_of(self.step, self.shape, self.pace) | own)

    @classmethod
    def from_files(
        cls,
        config: Config,
        files: Mapping[str, bytes],
        device: torch.device | str = "cpu",
        expected: tuple[int, int, int] | None = None,
    ) -> "Ensemble":
        """Restore `to_files` exactly. RunError where a file is missing or damaged or a member cannot be restored.

        expected: image size, channels and number of classes; with it, nothing of another size is built.
        """
        saved, own = Checkpoint(files, [SAMPLED], expected), ensemble_section(config)
        kind = MODELS.find(own.member.kind)

        def restored(prefix: str, i: int) -> Model:
            start = f"{prefix}{i:02d}."
            its = {name.removeprefix(start): data for name, data in files.items() if name.startswith(start)}
            return kind.from_files(member_config(config, i), its, device, saved.shape)

        learning = 1 if own.how == "snapshots" else own.members
        model = cls(config, [restored("member", i) for i in range(learning)], saved.shape)
        model.snapshots = [restored("snapshot", i) for i in range(saved.manifest["snapshots"])]
        model.step, model.turn, model.pace = saved.manifest["step"], saved.manifest["turn"], saved.pace
        sample = saved.tensors(SAMPLED)
        model.weights = saved.tensors(STACKED).get("weights")
        model.reweighted = Reweighted(sample["row_ids"].numpy(), sample["weights"].numpy())
        return model


def chosen(latents: Tensor, members: int) -> tuple[Tensor, Tensor]:
    """Return the member of each row, int64 [n], and latents [n, z] that are standard normal given it.

    The first entry's distribution function, cut into as many equal parts as there are members, is both: which part it
    lies in, and where in that part.
    """
    u = torch.special.ndtr(latents[:, 0].double()) * members
    which = u.floor().clamp(0, members - 1)
    within = (u - which).clamp(1e-7, 1 - 1e-7)
    first = torch.special.ndtri(within).to(latents.dtype)
    return which.long(), torch.cat([first[:, None], latents[:, 1:]], 1)
