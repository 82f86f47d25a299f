"""The phase 'trials': between the last gate of a drill and its wipe, which then restores everything."""

from collections.abc import Callable
from dataclasses import dataclass

from redrill.drill.bench import Bench
from redrill.drill.redeploy import begin_wipe
from redrill.drill.stages import REPLACE_STAGES, Stage
from redrill.minimise.leaked import save_leaks
from redrill.minimise.logbook import Limits, Logbook
from redrill.minimise.report import Report, write_proposal
from redrill.minimise.search import Search
from redrill.minimise.trials import Workshop
from redrill.model.deadline import Deadline
from redrill.model.record import Step

_SAVE_SECONDS = 1800.0
_MOST_SECONDS = 7 * 24 * 3600.0


@dataclass(slots=True)
class Minimiser:
    """Looks for the minimal restore set of one endpoint; ``tell`` hears a line a trial, ``report`` is the result."""

    limits: Limits
    tell: Callable[[str], None]
    report: Report | None = None

    def stages(self) -> tuple[Stage, ...]:
        """Return the phases of a drill with the trials among them."""
        at = next(index for index, stage in enumerate(REPLACE_STAGES) if stage.step is Step.REDEPLOY)
        return (*REPLACE_STAGES[:at], Stage(Step.TRIALS, self.work, _MOST_SECONDS), *REPLACE_STAGES[at:])

    def work(self, bench: Bench, _deadline: Deadline) -> None:
        """Save what leaks, destroy and rebuild the endpoint until it is known what it needs, or a limit ends it.

        What breaks a trial only ends the search and is told in the report: the endpoint has to be brought back.
        """
        leaks = save_leaks(bench, self.limits.leaked, Deadline.after(_SAVE_SECONDS))
        builder = begin_wipe(bench)
        shop, logbook, trouble = Workshop(bench, builder, leaks), Logbook(bench, self.limits, self.tell), ""
        search = Search(bench, shop, leaks, logbook, self.limits)
        try:
            search.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, only what follows brings the endpoint back
            trouble = str(error) or repr(error)
        shop.end()
        bench.outage.begin()
        self.report = search.report(trouble)
        write_proposal(self.report, bench.run_dir)
        bench.detail = self.report.conclude()
