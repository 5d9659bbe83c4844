"""Keeps what the venue knows in a file, so that a venue that is killed comes back as it was.

A real venue does not forget what it has answered. So the file is written, and is on the disk,
before anybody is told of a change: whatever a client has heard is there after a restart. The market
is not in it; a generated one starts over at its first prices, later.

Not kept: keys with a public half, and whatever a simulation broke on purpose.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from services.paper_exchange.exchange import Exchange
from services.paper_exchange.state.accounts import Account, MarginChange, OrderCounts, Position
from services.paper_exchange.state.algo_orders import AlgoOrder
from services.paper_exchange.state.commission_rates import CommissionRates
from services.paper_exchange.state.orders import Income, Order, Trade
from services.paper_exchange.state.resting_orders import RestingOrders
from services.paper_exchange.state.risk_watch import WarnedMargin
from services.paper_exchange.state.waiting_algos import WaitingAlgos
from services.paper_exchange.wire.authentication import ApiKey, Permission

#: Changes with the shape of what is kept; a file of another one is refused.
LAYOUT: Final = 2
FILE_MODE: Final = 0o600


class KeptStateError(Exception):
    """The file is there and cannot be used; the text says why and what to do."""


class KeptKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key with a secret."""

    key: str
    account_id: str
    permissions: frozenset[Permission]
    secret: str
    addresses: frozenset[str]
    created_ms: int


class KeptAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One customer. The dictionaries with client ids name orders by their ids."""

    alias: str
    created_ns: int
    updated_ns: int
    positions: list[Position]
    orders: list[Order]
    algos: list[AlgoOrder]
    open_by_client_id: dict[str, int]
    waiting_by_client_algo_id: dict[str, int]
    latest_by_client_id: dict[str, int]
    latest_by_client_algo_id: dict[str, int]
    trades: dict[str, list[Trade]]
    income: list[Income]
    margin_changes: list[MarginChange]
    leverage: dict[str, int]
    margin_type: dict[str, str]
    countdowns: dict[str, int]
    countdown_checks: dict[str, int]
    counts: OrderCounts
    is_hedge_mode: bool
    is_multi_assets_mode: bool
    is_fee_burned: bool
    own_commission_rates: CommissionRates | None
    listen_key: str | None
    listen_key_expires_ns: int


_RELINKED: Final = frozenset(
    {"positions", "orders", "algos", "open_by_client_id", "waiting_by_client_algo_id"}
)
#: What an account keeps as it is; everything else of it is given, or follows from its orders.
SAME: Final = tuple(name for name in KeptAccount.__struct_fields__ if name not in _RELINKED)


class KeptVenue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `resting` has the owner and the id of each order in the queues' order."""

    layout: int
    now_ns: int
    balances: dict[str, Decimal]
    events_posted: int
    accounts: dict[str, KeptAccount]
    keys: list[KeptKey]
    listen_keys: dict[str, str]
    resting: dict[str, list[tuple[str, int]]]
    deadlines: list[tuple[int, int, str, str, str]]
    sequences: dict[str, int]
    funding_due_ns: int
    holders: dict[str, list[str]]
    warned: dict[str, list[WarnedMargin]]


class KeptState:
    """The file of one venue."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: tuple[int, int, int] | None = None

    def restore(self, exchange: Exchange, now_ns: int) -> int:
        """Make a venue that was just set up what it was; returns the market time of the file.

        Returns `now_ns` where there is no file. Raises `KeptStateError`.
        """
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return now_ns
        except OSError as error:
            raise KeptStateError(f"cannot read {self._path}: {error.strerror}") from error
        try:
            told = msgspec.json.decode(raw, type=KeptVenue)
            if told.layout == LAYOUT and set(told.resting) == set(exchange.instruments):
                _put_back(exchange, told)
                self._kept = _version(exchange)
                return told.now_ns
        except (msgspec.DecodeError, KeyError) as error:
            raise KeptStateError(f"{self._path} is no state of a venue: {error}") from error
        raise KeptStateError(
            f"{self._path} is of another version or of other symbols: remove it to start anew"
        )

    def keep(self, exchange: Exchange, now_ns: int, *, is_certain: bool) -> None:
        """Write the file if something changed; `is_certain` that it did.

        Raises `KeptStateError`: then nobody may be told of the change. Whoever calls next tries
        again, and the market, which nobody can answer for, ends the venue.
        """
        version = _version(exchange)
        if version == self._kept and not is_certain:
            return
        try:
            _replace(self._path, msgspec.json.encode(_taken(exchange, now_ns)))
        except OSError as error:
            self._kept = None
            raise KeptStateError(f"cannot keep {self._path}: {error.strerror}") from error
        self._kept = version


def _taken(exchange: Exchange, now_ns: int) -> KeptVenue:
    hidden = exchange.__dict__
    return KeptVenue(
        layout=LAYOUT,
        now_ns=now_ns,
        balances=exchange.ledger.balances,
        events_posted=exchange.ledger.events_posted,
        accounts={name: _account_taken(one) for name, one in exchange.accounts.items()},
        keys=[
            KeptKey(
                one.key, one.account_id, one.permissions, one.secret, one.addresses, one.created_ms
            )
            for one in exchange.keys.values()
            if one.public_key is None
        ],
        listen_keys=exchange.listen_keys,
        resting={
            symbol: [(order.account_id, order.order_id) for order in orders]
            for symbol, orders in exchange.resting.items()
        },
        deadlines=hidden["_deadlines"],
        sequences=hidden["_sequences"],
        funding_due_ns=hidden.get("_funding_due_ns", 0),
        holders={symbol: list(found) for symbol, found in exchange.risk.holders.items()},
        warned={name: list(found) for name, found in exchange.risk.warned.items()},
    )


def _account_taken(account: Account) -> KeptAccount:
    return KeptAccount(
        positions=list(account.positions.values()),
        orders=list(account.orders.values()),
        algos=list(account.algos.values()),
        open_by_client_id={
            name: order.order_id for name, order in account.open_by_client_id.items()
        },
        waiting_by_client_algo_id={
            name: algo.algo_id for name, algo in account.waiting_by_client_algo_id.items()
        },
        **{name: getattr(account, name) for name in SAME},
    )


def _put_back(exchange: Exchange, told: KeptVenue) -> None:
    """Raises KeyError where the file names an order or an account that is not in it."""
    accounts = {name: _account_put_back(exchange, name, one) for name, one in told.accounts.items()}
    resting = {symbol: RestingOrders() for symbol in told.resting}
    for symbol, queue in told.resting.items():
        for owner, order_id in queue:
            resting[symbol].add(accounts[owner].orders[order_id])
    conditional = {symbol: WaitingAlgos() for symbol in told.resting}
    for account in accounts.values():
        for algo in account.waiting_algos.values():
            conditional[algo.symbol].add(algo)
    exchange.accounts, exchange.resting, exchange.conditional = accounts, resting, conditional
    exchange.ledger.balances, exchange.ledger.events_posted = told.balances, told.events_posted
    for key in told.keys:
        exchange.keys[key.key] = ApiKey(**msgspec.structs.asdict(key))
    exchange.listen_keys = told.listen_keys
    exchange.risk.holders = {name: dict.fromkeys(found) for name, found in told.holders.items()}
    exchange.risk.warned = {name: dict.fromkeys(found) for name, found in told.warned.items()}
    hidden = exchange.__dict__
    hidden["_deadlines"], hidden["_sequences"] = told.deadlines, told.sequences
    hidden["_funding_due_ns"] = told.funding_due_ns


def _account_put_back(exchange: Exchange, name: str, told: KeptAccount) -> Account:
    algos = {algo.algo_id: algo for algo in told.algos}
    for order in told.orders:
        # An order and the list have to speak of the same conditional order, not of two alike.
        if order.origin is not None:
            order.origin = algos.get(order.origin.algo_id, order.origin)
    orders = {order.order_id: order for order in told.orders}
    waiting = {one: algo for one, algo in algos.items() if algo.is_waiting}
    return Account(
        account_id=name,
        limits=exchange.limits,
        positions={position.key: position for position in told.positions},
        orders=orders,
        open_orders={one: order for one, order in orders.items() if order.is_open},
        open_by_client_id={one: orders[it] for one, it in told.open_by_client_id.items()},
        algos=algos,
        waiting_algos=waiting,
        waiting_by_client_algo_id={
            one: waiting[it] for one, it in told.waiting_by_client_algo_id.items()
        },
        **{same: getattr(told, same) for same in SAME},
    )


def keeper(
    kept: KeptState | None, exchange: Exchange, now_ns: Callable[[], int]
) -> Callable[[bool], None]:
    """What a desk calls before it tells anybody of a change; nothing where nothing is kept."""
    if kept is None:
        return lambda _: None
    return lambda is_certain: kept.keep(exchange, now_ns(), is_certain=is_certain)


def _version(exchange: Exchange) -> tuple[int, int, int]:
    """Moves with every change that no request asked for: fills, fundings, what ends in time."""
    numbers, deadlines = exchange.__dict__["_sequences"], exchange.__dict__["_deadlines"]
    return exchange.ledger.events_posted, sum(numbers.values()), len(deadlines)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
