"""The reconciler as a process, with a real broker and the paper venue; the test plays execution."""

import asyncio
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from cli.streams import read_stream
from cli.supervisor import Child, child_environment
from cli.venue_control import VenueControl
from libs.common.messages import subjects
from libs.common.messages.account import (
    AccountState,
    Command,
    DiscrepancyKind,
    ExposureView,
    OrderView,
    PositionView,
    ReconcileReport,
    SettingsView,
    Verb,
)
from libs.common.messages.codec import decode, encode
from libs.common.messages.market import MarketClock
from libs.common.model.ids import derive_client_algo_id
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.provisioning import provision
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.outcomes import Accepted
from tests.integration.patience import keep_saying, patient

DEADLINE_S = 40
BALANCE = Decimal(10_000)
STOP_MS = 5_000
TOKEN = "operate-" + 32 * "t"


class Stage:
    """Broker, venue and reconciler; what execution says is what the test wants it to say."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._broker = Broker(directory / "broker")
        self._children: list[Child] = []
        self._says: asyncio.Task[None] | None = None
        self.reports: list[ReconcileReport] = []
        self.positions: dict[str, Decimal] = {}
        self.orders: tuple[OrderView, ...] = ()
        self.wallet = BALANCE
        self.is_restless = False
        self.user_stream_ups = 1
        self.settings: tuple[SettingsView, ...] = ()
        self.exposures: tuple[ExposureView, ...] = ()

    async def start(self) -> None:
        settings = patient(await self._broker.start())
        self.bus = await Bus.connect(settings, "test", lambda: None)
        await provision(self.bus, "paper", settings)
        await self.bus.subscribe(subjects.reconcile_report("paper"), self._on_report)
        venue = Child(
            "venue",
            (
                sys.executable,
                "-m",
                "services.paper_exchange",
                "--port",
                "0",
                "--symbols",
                "BTCUSDT",
            ),
            self._directory / "venue.log",
        )
        await self._begin(venue)
        listening = await venue.wait_for_event("listening")
        assert listening is not None, venue.last_words()
        url = f"http://127.0.0.1:{listening['port']}"
        self.control = VenueControl(url)
        trading = await self.control.create_account(BALANCE, ["READ", "TRADE"])
        reading = await self.control.create_account(BALANCE, ["READ"], trading.account_id)
        now_ns = (await self.control.clock()).now_ns - wall_ns()
        self.client = VenueClient(
            url,
            lambda: wall_ns() + now_ns,
            api_key=trading.api_key,
            api_secret=Secret(trading.secret),
        )
        self._offset_ns = now_ns
        config = self._write_config(settings.url, url, reading.api_key, reading.secret)
        self._says = asyncio.create_task(keep_saying(self._speak, 0.02))
        self._command = (sys.executable, "-m", "services.reconciler", "--config", str(config))
        await self._begin_reconciler("reconciler.log")

    async def _begin_reconciler(self, log_name: str) -> None:
        self.reconciler = Child("reconciler", self._command, self._directory / log_name)
        await self._begin(self.reconciler)

    async def http(self, method: str, path: str, token: str = "") -> tuple[int, Any]:
        """Ask the reconciler over HTTP; returns the status and the body."""
        listening = await self.reconciler.wait_for_event("http listening")
        assert listening is not None
        url = f"http://127.0.0.1:{listening['port']}{path}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, url) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    async def restart(self) -> None:
        await self.reconciler.stop(STOP_MS)
        await self._begin_reconciler("reconciler-2.log")

    async def _begin(self, child: Child) -> None:
        await child.start(child_environment({}))
        self._children.append(child)

    def _write_config(self, broker: str, venue: str, key: str, secret: str) -> Path:
        for name, text in (("key", key), ("secret", secret)):
            (self._directory / name).write_text(text)
        path = self._directory / "config.yaml"
        tokens = self._directory / "tokens"
        tokens.write_text(f"operate tester {TOKEN}\n")
        tokens.chmod(0o600)
        tree = {
            "http_tokens_file": str(tokens),
            "symbols": ["BTCUSDT"],
            "bus": {"url": broker},
            "venue": {"rest_url": venue, "stream_url": venue.replace("http", "ws")},
            "reconciler": {
                "http_port": 0,
                "api_key_file": str(self._directory / "key"),
                "api_secret_file": str(self._directory / "secret"),
                "retry_wall_ms": 200,
                "second_look_wall_ms": 50,
                "event_lag_ms": 100,  # execution is played here, and its events are never late
                "look_again_wall_ms": 10,
            },
        }
        path.write_text(yaml.safe_dump(tree))
        return path

    async def _speak(self) -> None:
        """Say the time and the account's state, as feed and execution would."""
        now_ns = wall_ns() + self._offset_ns
        self.wallet += self.is_restless
        envelope = {
            "message_id": "m", "causation_id": "m", "correlation_id": "m",
            "ts_event_ns": now_ns, "ts_published_ns": wall_ns(), "source": "test",
        }  # fmt: skip
        clock = MarketClock(
            **envelope, now_ns=now_ns, speed=Decimal(1), limit_ns=None, source_ended=False
        )
        await self.bus.publish(subjects.MARKET_CLOCK, encode(clock))
        state = AccountState(
            **envelope, account="paper", journal_sequence=1,
            trading_state=TradingState.ACTIVE, armed=True, unarmed_reasons=(),
            wallet_balance=self.wallet, available_balance=self.wallet, balance_at_ns=1,
            changed_at_ns=1, orders=self.orders, user_stream_ups=self.user_stream_ups,
            settings=self.settings, exposures=self.exposures,
            positions=tuple(
                PositionView(
                    symbol=symbol, quantity=quantity, cost=Decimal(0), entry_price=Decimal(0),
                    realized_pnl=Decimal(0), commission=Decimal(0),
                )
                for symbol, quantity in self.positions.items()
            ),
        )  # fmt: skip
        await self.bus.publish(subjects.account_state("paper"), encode(state))

    async def _on_report(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self.reports.append(decode(payload, ReconcileReport))

    async def ask(self) -> ReconcileReport:
        """Ask for a comparison and return the first report said after that."""
        heard = len(self.reports)
        asked_ns = wall_ns()
        await self.bus.publish(subjects.reconcile_request("paper"), b"test")
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for report in self.reports[heard:]:
                    if report.ts_published_ns >= asked_ns:
                        return report
                await asyncio.sleep(0.01)

    async def until_report(self, condition) -> ReconcileReport:
        async with asyncio.timeout(DEADLINE_S):
            while not (found := [one for one in self.reports if condition(one)]):
                await asyncio.sleep(0.01)
        return found[0]

    async def halts(self) -> list[Command]:
        return [
            decode(message.data, Command)
            async for message in read_stream(self.bus, subjects.COMMANDS_STREAM)
        ]

    async def until_asked(self, verb: Verb) -> None:
        """A report is said before what it asks for."""
        async with asyncio.timeout(DEADLINE_S):
            while verb not in [command.verb for command in await self.halts()]:
                await asyncio.sleep(0.01)

    async def buy(self) -> None:
        """Trade as somebody else would, in the venue's own app."""
        outcome = await self.client.place_order(
            {
                "symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010",
                "newClientOrderId": "web_by_hand",
            },
            timestamp_ms=self.client.timestamp_ms(),
        )  # fmt: skip
        assert isinstance(outcome, Accepted), outcome

    async def place_stop(self, name: str) -> None:
        """A stop below the market, placed by whoever's id it carries."""
        price = (await self.client.premium_index("BTCUSDT")).mark_price
        outcome = await self.client.place_algo_order(
            {
                "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010",
                "triggerPrice": str(int(price * 9 / 10)), "clientAlgoId": name,
                "reduceOnly": "true",
            },
            timestamp_ms=self.client.timestamp_ms(),
        )  # fmt: skip
        assert isinstance(outcome, Accepted), outcome

    async def stop(self) -> None:
        if self._says is not None:
            self._says.cancel()
        for child in reversed(self._children):
            await child.stop(STOP_MS)
        await self.client.close_connection()
        await self.control.close()
        await self.bus.close()
        await self._broker.stop()


@pytest.fixture
async def stage(tmp_path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    try:
        await stage.start()
        yield stage
    finally:
        await stage.stop()


async def test_the_first_comparison_is_made_at_start_and_the_next_on_demand(stage):
    first = await stage.until_report(lambda report: True)
    assert (first.trigger, first.is_clean, first.balances_compared) == ("start", True, 1)
    assert (await stage.ask()).trigger == "demand"


async def test_a_position_traded_by_hand_is_confirmed_and_halts_once(stage):
    await stage.until_report(lambda report: report.is_clean)
    await stage.buy()
    report = await stage.ask()
    kinds = {found.kind: found for found in report.discrepancies}
    assert kinds[DiscrepancyKind.UNTRACKED_POSITION].subject == "BTCUSDT"
    assert kinds[DiscrepancyKind.UNTRACKED_POSITION].is_confirmed
    assert DiscrepancyKind.BALANCE_DRIFT in kinds
    await stage.until_report(lambda later: later.cycle >= report.cycle + 3)
    (halt,) = await stage.halts()
    assert (halt.verb, halt.actor) == (Verb.HALT, "reconciler")
    assert "BTCUSDT" in halt.reason


async def test_once_execution_knows_the_position_the_next_comparison_is_clean(stage):
    await stage.buy()
    stage.positions["BTCUSDT"] = Decimal("0.010")
    stage.wallet = (await stage.client.balance())[0].balance
    await stage.until_report(lambda report: report.is_clean and report.positions_compared == 1)


async def test_an_order_in_flight_is_no_difference(stage):
    stage.orders = (
        OrderView(
            client_order_id="pc-1", intent_id="i", symbol="BTCUSDT", side=Side.BUY,
            quantity=Decimal(1), cumulative_quantity=Decimal(0), reduce_only=False,
            status=OrderStatus.UNKNOWN, recorded_at_ns=1,
        ),
    )  # fmt: skip
    report = await stage.ask()
    assert report.is_clean
    assert report.orders_compared == 1


async def test_while_the_account_keeps_changing_nothing_is_claimed(stage):
    await stage.until_report(lambda report: report.is_clean)
    stage.is_restless = True
    await stage.buy()
    heard = len(stage.reports)
    await stage.bus.publish(subjects.reconcile_request("paper"), b"test")
    log = stage._directory / "reconciler.log"
    async with asyncio.timeout(DEADLINE_S):
        while "the account changed during each" not in log.read_text():
            await asyncio.sleep(0.02)
    assert stage.reports[heard:] == []


async def test_the_user_stream_coming_up_again_is_a_reason_to_compare(stage):
    await stage.until_report(lambda report: report.is_clean)
    stage.user_stream_ups += 1
    report = await stage.until_report(lambda report: report.trigger == "reconnect")
    assert report.settings_compared == 1


async def test_the_last_reports_are_shown_and_outlive_the_process(stage):
    first = await stage.until_report(lambda report: report.is_clean)
    status, body = await stage.http("GET", "/v1/reports?limit=1", TOKEN)
    assert (status, body["reports"][0]["message_id"]) == (200, first.message_id)
    await stage.restart()
    await stage.until_report(lambda report: report.ts_published_ns > first.ts_published_ns)
    _, body = await stage.http("GET", "/v1/reports", TOKEN)
    assert first.message_id in [report["message_id"] for report in body["reports"]]
    status, _ = await stage.http("GET", "/v1/reports?limit=501", TOKEN)
    assert status == 422


async def test_who_asks_over_http_gets_the_report_of_a_comparison_begun_after_that(stage):
    await stage.until_report(lambda report: report.is_clean)
    await stage.buy()
    status, body = await stage.http("POST", "/v1/reconcile", TOKEN)
    assert status == 200
    kinds = {found["kind"]: found for found in body["report"]["discrepancies"]}
    assert kinds["UNTRACKED_POSITION"]["policy"] == "halt"
    assert (await stage.http("POST", "/v1/reconcile"))[0] in (401, 403)


async def test_settings_changed_by_hand_are_to_be_asserted_at_once(stage):
    await stage.until_report(lambda report: report.is_clean)
    stage.settings = (SettingsView(symbol="BTCUSDT", leverage=10, margin_type="CROSSED"),)
    await stage.client.set_leverage("BTCUSDT", 7)
    report = await stage.ask()
    (found,) = report.discrepancies
    assert (found.kind, found.ours, found.theirs) == (DiscrepancyKind.SETTING_DRIFT, "10", "7")
    assert report.remedies == ("assert-settings",)
    await stage.until_asked(Verb.ASSERT_SETTINGS)


async def test_a_conditional_order_of_others_is_reported_and_left_alone(stage):
    await stage.until_report(lambda report: report.is_clean)
    await stage.place_stop("web_stop")
    report = await stage.ask()
    (found,) = report.discrepancies
    assert (found.kind, found.subject) == (DiscrepancyKind.ORPHAN_ALGO_ORDER, "web_stop")
    assert (found.policy, found.is_tolerated) == ("report", True)
    assert (await stage.ask()).remedies == ()
    assert await stage.halts() == []


async def test_a_conditional_order_with_an_id_of_ours_that_nobody_knows_is_to_be_canceled(stage):
    await stage.until_report(lambda report: report.is_clean)
    stop = derive_client_algo_id("paper", "forgotten", "STOP", 1)
    await stage.place_stop(stop)
    assert (await stage.ask()).remedies == ()  # seen in one comparison only
    report = await stage.until_report(lambda report: report.remedies)
    assert report.remedies == (f"cancel-orphan BTCUSDT:{stop}",)


async def test_a_stop_the_venue_does_not_hold_is_lost_and_its_position_naked(stage):
    await stage.buy()
    stage.positions["BTCUSDT"] = Decimal("0.010")
    stage.wallet = (await stage.client.balance())[0].balance
    stage.exposures = (
        ExposureView(
            intent_id="i", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal("0.010"),
            unprotected_since_ns=0,
        ),
    )  # fmt: skip
    report = await stage.until_report(
        lambda report: DiscrepancyKind.NAKED_POSITION in {one.kind for one in report.discrepancies}
    )
    assert "stops owed over 0.01" in describe_all(report)
    await stage.place_stop("web_stop")
    report = await stage.until_report(
        lambda later: (
            later.cycle > report.cycle
            and DiscrepancyKind.NAKED_POSITION not in {one.kind for one in later.discrepancies}
        )
    )


def describe_all(report: ReconcileReport) -> str:
    return "; ".join(f"{one.ours}, {one.theirs}" for one in report.discrepancies)
