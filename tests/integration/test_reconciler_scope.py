"""Who asks for a comparison decides how far it looks, over a real broker and venue."""

from libs.common.messages import subjects
from libs.common.messages.account import ASKED_BY_A_PERSON, DiscrepancyKind
from tests.integration import test_reconciler
from tests.integration.test_reconciler import TOKEN

stage = test_reconciler.stage


async def test_a_person_is_told_over_http_of_orders_of_symbols_that_are_not_configured(stage):
    await stage.until_report(lambda report: report.is_clean)
    await stage.place_stop("web_stop", "ETHUSDT")
    assert (await stage.ask()).is_clean  # whoever else asks does not pay for all symbols
    _, body = await stage.http("POST", "/v1/reconcile", TOKEN)
    (found,) = body["report"]["discrepancies"]
    assert (found["kind"], found["subject"]) == ("ORPHAN_ALGO_ORDER", "web_stop")


async def test_so_is_a_person_who_has_execution_ask(stage):
    await stage.until_report(lambda report: report.is_clean)
    await stage.place_stop("web_stop", "ETHUSDT")
    heard = len(stage.reports)
    await stage.bus.publish(subjects.reconcile_request("paper"), ASKED_BY_A_PERSON)
    report = await stage.until_report(lambda one: one in stage.reports[heard:])
    (found,) = report.discrepancies
    assert (found.kind, found.subject) == (DiscrepancyKind.ORPHAN_ALGO_ORDER, "web_stop")
