"""What a run came to: for people while it runs and at its end, and as JSON."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos.measures import Measure


@dataclass(slots=True)
class Report:
    """One run of one form.

    Attributes:
        acknowledged: events, each once, however often it was sent.
        maybe: events that never had an answer.
        did: what the workers did, by kind.
        exits: processes that ended although nobody ended them.
    """

    form: str
    seed: str
    ok: bool = False
    seconds_of_load: float = 0
    acknowledged: int = 0
    maybe: int = 0
    acknowledged_per_second: float = 0
    kills: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    did: dict[str, int] = field(default_factory=dict)
    client_cpu_seconds: float = 0
    requests_lost: int = 0
    answers_503: int = 0
    measures: dict[str, Measure] = field(default_factory=dict)
    exits: list[str] = field(default_factory=list)
    deletes: str = ""
    verify: str = ""
    complaints: dict[str, int] = field(default_factory=dict)
    complaint_texts: list[str] = field(default_factory=list)
    directory: str = ""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        per_minute = 60 * self.kills / self.seconds_of_load if self.seconds_of_load else 0
        lines = [
            f"{self.form}: {'everything agrees' if self.ok else 'FAILED'}   (SEED={self.seed} FORM={self.form})",
            f"  load      {self.seconds_of_load:.0f} s, {self.acknowledged:,} events acknowledged"
            f" ({self.acknowledged_per_second:,.0f}/s), {self.maybe:,} without an answer;"
            f" {self.client_cpu_seconds:.0f} s of processor time",
            f"  requests  {self.requests_lost:,} without an answer, {self.answers_503:,} answered 503",
            f"  did       {_listed(self.did)}",
            f"  faults    {_listed(self.faults)}; {per_minute:.1f} kills a minute",
            *[_measured(kind, measure) for kind, measure in self.measures.items()],
            *[f"  exit      {text}" for text in self.exits],
            f"  deletes   {self.deletes}",
            f"  verify    {self.verify}",
            *[f"  {number:,} x {kind}" for kind, number in self.complaints.items()],
            *[f"    {text}" for text in self.complaint_texts],
            *([] if self.ok else [f"  kept      {self.directory}"]),
        ]
        return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in counts.items()) or "nothing"


def _measured(kind: str, measure: Measure) -> str:
    return (
        f"  measured  {kind}: median {measure.median_seconds:.1f} s,"
        f" worst {measure.worst_seconds:.1f} s ({measure.worst_case}), {measure.count} times"
    )


def progress(
    seconds: float,
    acknowledged: int,
    *,
    rate: float,
    faults: Counter[tuple[str, str]],
    broken: list[str],
    complaints: int,
) -> str:
    """A line every few seconds."""
    actions: Counter[str] = Counter()
    for (_, action), number in faults.items():
        actions[action] += number
    done = ", ".join(f"{number} {action}" for action, number in sorted(actions.items())) or "no fault yet"
    minutes, rest = divmod(int(seconds), 60)
    line = f"{minutes:3d}:{rest:02d}  {acknowledged:,} acknowledged ({rate:,.0f}/s)   {done}"
    line += f"   broken: {', '.join(broken)}" if broken else ""
    return line + (f"   COMPLAINTS: {complaints}" if complaints else "")
