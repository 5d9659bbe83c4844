"""What we say to the venue of stops and targets, and what its words mean to the journal."""

from libs.common.messages.algo_events import AlgoOrderRecorded, AlgoOrderUpdated
from libs.common.model.algo_order import AlgoStatus, parse_algo_status
from libs.common.model.money import plain
from libs.common.runtime.log import get_logger
from libs.common.venue.outcome_table import Reason as VenueReason
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, Throttled, describe
from libs.common.venue.payloads import PayloadError, VenueAlgoOrder, decode_payload
from libs.common.venue.user_payloads import AlgoOrder

log = get_logger(__name__)


def algo_parameters(recorded: AlgoOrderRecorded, working_type: str) -> dict[str, str]:
    """The venue's parameters for a recorded stop or target."""
    return {
        "symbol": recorded.symbol,
        "side": recorded.side.value,
        "type": recorded.kind.venue_type,
        "quantity": plain(recorded.quantity),
        "triggerPrice": plain(recorded.trigger_price),
        "workingType": working_type,
        "reduceOnly": "true",
        "clientAlgoId": recorded.client_algo_id,
    }


def read_algo_answer(client_algo_id: str, outcome: Outcome) -> AlgoOrderUpdated:
    """What the answer to a placement means: accepted, refused, or unknown."""
    match outcome:
        case Accepted():
            try:
                placed = decode_payload(outcome.body, VenueAlgoOrder)
            except PayloadError as error:
                return _unknown(client_algo_id, str(error))
            told = read_algo_order(placed)
            return told or _unknown(client_algo_id, f"unknown word {placed.status!r}")
        case Rejected(reason=VenueReason.DUPLICATE_CLIENT_ORDER_ID | VenueReason.TRIGGERING):
            # An earlier request of this very id has arrived: no refusal, but a question.
            return _unknown(client_algo_id, describe(outcome))
        case Rejected() | Throttled():
            return AlgoOrderUpdated(
                client_algo_id=client_algo_id,
                status=AlgoStatus.REJECTED,
                code=outcome.code,
                why=describe(outcome),
            )
        case _:
            return _unknown(client_algo_id, outcome.why)


def _unknown(client_algo_id: str, why: str) -> AlgoOrderUpdated:
    return AlgoOrderUpdated(client_algo_id=client_algo_id, status=AlgoStatus.UNKNOWN, why=why)


def read_algo_order(found: VenueAlgoOrder) -> AlgoOrderUpdated | None:
    """What the venue says of a conditional order; ``None`` for a word not known here."""
    return _read(found.client_algo_id, found.algo_id, found.status, found.order_id, "")


def read_algo_event(event: AlgoOrder) -> AlgoOrderUpdated | None:
    """What the user stream says of a conditional order; ``None`` for a word not known here."""
    return _read(
        event.client_algo_id, event.algo_id, event.status, event.order_id, event.reject_reason
    )


def _read(
    client_algo_id: str, algo_id: int, status: str, order_id: str, why: str
) -> AlgoOrderUpdated | None:
    try:
        known = parse_algo_status(status)
    except ValueError as error:
        log.error("algo order not understood", client_algo_id=client_algo_id, why=str(error))
        return None
    return AlgoOrderUpdated(
        client_algo_id=client_algo_id,
        status=known,
        algo_id=algo_id,
        venue_order_id=int(order_id) if order_id.isascii() and order_id.isdigit() else 0,
        why=why,
    )
