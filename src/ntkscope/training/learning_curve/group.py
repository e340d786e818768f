"""One group of networks that train together, from their beginning to the end of the last."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ntkscope.runtime.logs import log
from ntkscope.stores import ZarrStore
from ntkscope.training.learning_curve.batches import Batches
from ntkscope.training.learning_curve.early_stopping import is_kept, is_over
from ntkscope.training.learning_curve.evaluation import Evaluation
from ntkscope.training.learning_curve.live import LiveNetworks
from ntkscope.training.learning_curve.members import Member, Together
from ntkscope.training.learning_curve.record import (
    write_best,
    write_snapshot,
    write_undefined,
)
from ntkscope.training.learning_curve.samples import CurveSamples
from ntkscope.training.learning_curve.state import CurveState
from ntkscope.training.state import Named


class Group:
    """Networks of equal batches; one that has ended leaves.

    A network of which snapshots are kept stays until the last of them, whatever early stopping
    says: what is kept of it, and its log, are as if it had left.

    Args:
        members: of the whole curve.
        together: those of the group.
        training: where it is; changed as it goes.
        samples, evaluation: of the whole curve.
        store: where networks are written as they end.
    """

    def __init__(
        self,
        members: Sequence[Member],
        together: Together,
        training: CurveState,
        samples: CurveSamples,
        evaluation: Evaluation,
        store: ZarrStore,
    ) -> None:
        self.members, self.together, self.training = members, together, training
        self.samples, self.evaluation, self.store = samples, evaluation, store
        self.learning = evaluation.learning
        mine = [members[number] for number in together.indices]
        self._pauses = {step for m in mine for step in (*m.looks, *m.snapshots)}

    def begin(self, initial: Named) -> None:
        """Be ready for the next step: the first, or the one after a checkpoint.

        Args:
            initial: parameters of every seed, name → [S, …].
        """
        if self.training.live is None:
            self.training.indices, self.training.step = self.together.indices, 0
            rows = [self.members[number].place[0] for number in self.together.indices]
            present = {f"present/{name}": tensor[rows] for name, tensor in initial.items()}
            self.training.live = LiveNetworks(
                self.evaluation.layers, self.learning, present, self.together.in_company
            )
            self._pause()
        if self.training.indices:
            self._batches = Batches(self._members(), self.samples, self.learning.reversed_batches)

    def step(self) -> None:
        """One update of every network; those that it ends leave."""
        assert self.training.live is not None
        self.training.live.update(*self._batches(self.training.step))
        self.training.step += 1
        left = self._pause()
        if left and self.training.indices:
            self._batches.keep(left)

    def _members(self) -> list[Member]:
        return [self.members[number] for number in self.training.indices]

    def _pause(self) -> list[int] | None:
        """Look at each network whose turn it is; the rows that go on, if any has left."""
        step, ended = self.training.step, False
        if step not in self._pauses:
            return None
        for row, member in enumerate(self._members()):
            if step in member.snapshots:
                self._snapshot(row, member)
            if step in member.looks and not self.training.log.is_over(member):
                self._look(row, member)
            ended = ended or self._leaves(member)
        return self._without_ended() if ended else None

    def _leaves(self, member: Member) -> bool:
        arrays, last = self.training.log.arrays, max(member.snapshots, default=0)
        if not arrays["_over"][member.place]:
            return False
        return bool(arrays["diverged"][member.place]) or self.training.step >= last

    def _without_ended(self) -> list[int]:
        assert self.training.live is not None
        rows = [row for row, member in enumerate(self._members()) if not self._leaves(member)]
        self.training.indices = tuple(self.training.indices[row] for row in rows)
        if rows:
            self.training.live = self.training.live.only(rows)
        return rows

    def _look(self, row: int, member: Member) -> None:
        """Log a network's errors, keep its parameters if they are the best, see if it ends."""
        live, step, known = self.training.live, self.training.step, self.training.log
        assert live is not None
        look = self.evaluation.look(member, live.present(row))
        known.add(member, step, look)
        if not look.finite:
            self._diverged(member)
            return
        score = (look.validation_error, look.validation_loss)
        if is_kept(self.learning, score, known.best(member)[1]):
            live.keep(row)
            known.keep(member, step, score)
        over = is_over(self.learning, step, known.best(member)[0], look.train_loss)
        if over or step == member.budget:
            self._end(row, member)

    def _end(self, row: int, member: Member) -> None:
        assert self.training.live is not None
        kept = {name: tensor[row] for name, tensor in self.training.live.kept.items()}
        verdict = self.evaluation.verdict(member, kept)
        write_best(self.store, member, kept, verdict.prediction)
        self.training.log.end(member, verdict)
        log.info(
            "n = %d, seed %d: error %.4f, best at step %d of %d",
            member.samples,
            member.seed,
            verdict.error,
            self.training.log.best(member)[0],
            self.training.step,
        )

    def _diverged(self, member: Member) -> None:
        self.training.log.end(member, None)
        write_undefined(self.store, member.place, "best")
        for snapshot, step in enumerate(member.snapshots):
            if step > self.training.step:
                place = (member.place[0], snapshot)
                self.training.log.arrays["during_diverged"][place] = True
                write_undefined(self.store, place, "during")
        log.warning(
            "n = %d, seed %d diverged by step %d", member.samples, member.seed, self.training.step
        )

    def _snapshot(self, row: int, member: Member) -> None:
        """Keep a network's present parameters, and how they do on the test set."""
        assert self.training.live is not None
        parameters, seed = self.training.live.present(row), member.place[0]
        place = (seed, member.snapshots.index(self.training.step))
        outputs, error, squared = self.evaluation.test(seed, parameters)
        arrays = self.training.log.arrays
        arrays["during_error"][place], arrays["during_squared_error"][place] = error, squared
        finite = all(bool(torch.isfinite(t).all()) for t in (outputs, *parameters.values()))
        arrays["during_diverged"][place] = not finite
        if finite:
            write_snapshot(self.store, member, place[1], parameters)
        else:
            write_undefined(self.store, place, "during")
