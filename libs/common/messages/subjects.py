"""Every subject and stream name. Nothing else in the house spells one."""

MARKET_STREAM = "MARKET"
INTENTS_STREAM = "INTENTS"
INTENTS_DONE_STREAM = "INTENTS_DONE"
COMMANDS_STREAM = "COMMANDS"
JOURNAL_STREAM = "JOURNAL"
SNAPSHOTS_STREAM = "SNAPSHOTS"
REPORTS_STREAM = "REPORTS"
DEAD_STREAM = "DEAD"
VIEW_BUCKET = "VIEW"
LEASE_BUCKET = "LEASES"
#: The stream that a KV bucket is.
LEASE_STREAM = f"KV_{LEASE_BUCKET}"

MARKET_CLOCK = "market.clock"
MARKET_HEALTH = "market.health"
#: Whoever asks here is told hello by every service.
ROLL_CALL = "service.roll-call"
HELLOS = "service.hello.*"


def quote(symbol: str) -> str:
    """Best bid and ask of a symbol; latest wins."""
    return f"market.quote.{symbol}"


def mark(symbol: str) -> str:
    """Mark price of a symbol; latest wins."""
    return f"market.mark.{symbol}"


def trade(symbol: str) -> str:
    """Public trade prints of a symbol."""
    return f"market.trade.{symbol}"


def depth(symbol: str) -> str:
    """The best levels of a symbol's order book, where books are kept; latest wins."""
    return f"market.depth.{symbol}"


def candle(interval: str, symbol: str) -> str:
    """Closed candles of a symbol: gap-free, in order."""
    return f"market.candle.{interval}.{symbol}"


def intent_proposed(symbol: str) -> str:
    """What a strategy, or any producer in any language, wishes."""
    return f"intent.proposed.{symbol}"


def intent_approved(account: str, symbol: str) -> str:
    """What risk approved for one account: the only thing execution acts on."""
    return f"intent.approved.{account}.{symbol}"


def intent_refused(symbol: str) -> str:
    """What risk or the gate refused, with the reason and all verdicts."""
    return f"intent.refused.{symbol}"


def intent_verdict(intent_id: str) -> str:
    """Risk's one decision on an intent, written once."""
    return f"intent.verdict.{intent_id}"


def command(account: str, verb: str) -> str:
    """What operators and services ask execution to do."""
    return f"command.{account}.{verb}"


def journal(account: str) -> str:
    """The truth of one trading account, written by execution alone."""
    return f"journal.{account}"


def snapshot(account: str) -> str:
    """The last saved fold of an account's journal."""
    return f"snapshot.{account}"


def journal_head(account: str) -> str:
    """How far an account's journal had come: a witness beside the journal itself."""
    return f"snapshot.{account}.head"


def account_state(account: str) -> str:
    """Execution's read model of an account."""
    return f"account.{account}.state"


def account_state_request(account: str) -> str:
    """Asks execution to say now how the account stands; outside of every stream."""
    return f"execution.{account}.state-request"


def reconcile_report(account: str) -> str:
    """The reconciler's findings."""
    return f"reconcile.{account}.report"


def reconcile_request(account: str) -> str:
    """Asks the reconciler to compare now; outside of every stream, so that none stores it."""
    return f"reconciler.{account}.request"


def hello(service: str) -> str:
    """A service introduces itself; outside of every stream, so that none stores it."""
    return f"service.hello.{service}"


def lease(name: str) -> str:
    """Which of some replicas leads: a key of the bucket of leases."""
    return f"$KV.{LEASE_BUCKET}.{name}"


def dead(service: str) -> str:
    """Messages a service could not read, with the reason."""
    return f"dead.{service}"
