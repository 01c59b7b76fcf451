"""Once all is mended: waits until nothing moves, then compares every read of every project with the ledger."""

from collections.abc import Callable

from tests.chaos.compare import Comparison
from tests.chaos.contacts import Contacts
from tests.chaos.measures import Measures
from tests.chaos.options import Options
from tests.chaos.reads import Reads, wait_until_quiet
from tests.chaos.scene import Scene
from tests.chaos.sums import Sums

_ATTEMPTS = 3
"""What had no answer may still have been under way: what is compared while something moves is compared again."""


def prove(scene: Scene, options: Options, measures: Measures, say: Callable[[str], None]) -> None:
    """Differences become complaints."""
    reads = [Reads(scene.query_url, project) for project in scene.projects]
    for _ in range(_ATTEMPTS):
        seconds = wait_until_quiet(reads, options.catch_up_seconds)
        if seconds is None:
            scene.complaints.add("not caught up", f"within {options.catch_up_seconds:.0f} s after all was mended")
            break
        measures.add("reads caught up at the end", seconds, "after the load")
        before, texts = dict(scene.complaints.counts), list(scene.complaints.texts)
        totals = [one.total() for one in reads]
        say(f"comparing {scene.ledger.acknowledged:,} acknowledged events with {sum(totals):,} in the tables")
        _compare(scene, options, reads)
        if totals == [one.total() for one in reads]:
            break
        scene.complaints.reset(before, texts)
    else:
        scene.complaints.add("not caught up", f"the counts still moved after {_ATTEMPTS} comparisons")
    for one in reads:
        one.close()


def _compare(scene: Scene, options: Options, reads: list[Reads]) -> None:
    for number, one in enumerate(reads):
        random = options.random(f"comparison {number}")
        comparison = Comparison(number, scene.ledger, scene.deletions, scene.complaints)
        listed = comparison.list_all(one.events())
        comparison.sample(one, listed, random)
        Sums(number, listed, scene.complaints).check(one.read, random)
        contacts = Contacts(number, scene.people, scene.ledger, scene.deletions, scene.complaints)
        contacts.check(one, listed, random)
