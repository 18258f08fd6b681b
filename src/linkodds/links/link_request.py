"""LinkRequest: which new links are asked for, and the one place where options that exclude or need each other are refused."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from linkodds.errors import OptionError
from linkodds.links.link_search import ALL_PAIRS, Scope
from linkodds.probability.selection import refuse_alpha

Kind = Literal["best", "of new nodes", "masked", "discover", "precision"]
MOST = 100
"""Links in a list whose length nothing says."""


@dataclass(frozen=True)
class LinkRequest:
    """What a list of new links is to hold.

    Args:
        top: at most this many.
        decision: a rule that the links have to pass.
        fdr: accepted share of false links, in (0, 1).
        unobserved: the pairs whose status nobody has looked at.
        mode: "masked" (among `unobserved`; the default with them) or "discover" (not guaranteed).
        precision: in place of `fdr`: the share of true links that is expected, not guaranteed.
        scope: where to look.
        of_new_nodes: the links of nodes that the run was not fitted with.
        resume: go on with what an interrupted search left.
    Raises:
        OptionError: options that exclude or need each other, or a share that is none.
    Example:
        >>> LinkRequest(decision="f1").kind, LinkRequest(fdr=0.1, mode="discover").kind
        ('best', 'discover')
        >>> LinkRequest(top=5, precision=0.5)
        Traceback (most recent call last):
        linkodds.errors.OptionError: --precision and --top each say how long the list is; give one of them.
    """

    top: int | None = None
    decision: str | None = None
    fdr: float | None = None
    unobserved: Any = None
    mode: str | None = None
    precision: float | None = None
    scope: Scope = ALL_PAIRS
    of_new_nodes: bool = False
    resume: bool = False

    def __post_init__(self) -> None:
        lengths = {"--precision": self.precision, "--fdr": self.fdr, "--top": self.top, "--decision": self.decision}
        given = [name for name, value in lengths.items() if value is not None]
        if len(given) > 1 and (self.precision, self.fdr) != (None, None):
            raise OptionError(f"{' and '.join(given)} each say how long the list is; give one of them.")
        self._refuse_half_an_error()
        if self.kind not in ("best", "of new nodes"):
            self._refuse_beside_an_error()
        elif self.of_new_nodes and (
            self.resume
            or replace(self.scope, per_node=None) != ALL_PAIRS
            or (self.scope.per_node is not None and self.top is not None)
        ):
            raise OptionError(
                "the links of new nodes are listed at once; leave --from-nodes, --to-nodes, --within-hops and --resume out, "
                "and give one of --top and --per-node."
            )

    @property
    def kind(self) -> Kind:
        """Which list: with a stated error, of new nodes, or the best of all pairs."""
        if self.precision is not None:
            return "precision"
        if self.fdr is not None:
            return "discover" if self.mode == "discover" else "masked"
        return "of new nodes" if self.of_new_nodes else "best"

    @property
    def most(self) -> int | None:
        """Length of a list without a stated error; None: the decision, or each node's number of partners, says it."""
        return MOST if (self.top, self.decision, self.scope.per_node) == (None, None, None) else self.top

    def _refuse_half_an_error(self) -> None:
        if self.fdr is None:
            for name, value in {"--unobserved": self.unobserved, "--mode": self.mode}.items():
                if value is not None:
                    raise OptionError(f"{name} says what --fdr A is to hold for; give --fdr A too.")
            return
        refuse_alpha(self.fdr)
        if self.mode == "audit":
            raise OptionError("--mode audit looks at held-out edges, not for new links: linkodds evaluate RUN --fdr A.")
        if self.mode not in (None, "masked", "discover"):
            raise OptionError(f"--mode takes masked or discover, not {self.mode}.")
        if self.mode == "discover" and self.unobserved is not None:
            raise OptionError("--mode discover searches all pairs; leave --unobserved out, or take --mode masked.")
        if self.mode != "discover" and self.unobserved is None:
            raise OptionError(
                "--fdr needs pairs that are known to be no link. Name those whose status nobody has looked at with "
                "--unobserved PAIRS (all others without an edge then count as looked at), or take --mode discover, which "
                "guarantees nothing."
            )

    def _refuse_beside_an_error(self) -> None:
        if self.of_new_nodes:
            raise OptionError(
                "a list with a stated error is of known nodes; leave --nodes, --features and --edges out."
            )
        if self.resume:
            raise OptionError("a list with a stated error is made at once; leave --resume out.")
        if self.scope.per_node is not None:
            raise OptionError("a list with a stated error is one list, not one a node; leave --per-node out.")
        if self.kind == "masked" and not self.scope.is_everything:
            raise OptionError(
                "--unobserved says which pairs may be listed, and all others are calibration nulls; leave --from-nodes, "
                "--to-nodes and --within-hops out, and name in --unobserved only the pairs you want."
            )
