"""Which conditional orders a price reaches: the same as asking each, without asking each."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.state.algo_orders import (
    ALGO_TYPES,
    CONTRACT_PRICE,
    MARK_PRICE,
    TRAILING,
    AlgoOrder,
)
from services.paper_exchange.state.waiting_algos import WaitingAlgos

ZERO = Decimal(0)
ALGOS = st.lists(
    st.tuples(
        st.sampled_from(sorted(ALGO_TYPES)),
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from([CONTRACT_PRICE, MARK_PRICE]),
        st.integers(90, 110),
    ),
    max_size=12,
)
PRICES = st.lists(
    st.tuples(st.sampled_from([CONTRACT_PRICE, MARK_PRICE]), st.integers(85, 115)), max_size=20
)


def algo_order(algo_id, order_type, side, working_type, trigger):
    is_trailing = order_type == TRAILING
    return AlgoOrder(
        algo_id=algo_id,
        account_id="one",
        symbol="BTCUSDT",
        client_algo_id=str(algo_id),
        side=side,
        order_type=order_type,
        time_in_force="GTC",
        quantity=Decimal(1),
        price=ZERO,
        trigger_price=ZERO if is_trailing else Decimal(trigger),
        working_type=working_type,
        close_position=False,
        price_protect=False,
        reduce_only=False,
        self_trade_prevention="NONE",
        good_till_ms=0,
        created_ns=0,
        updated_ns=0,
        activate_price=Decimal(trigger) if is_trailing else ZERO,
        callback_percent=Decimal(2) if is_trailing else ZERO,
    )


@settings(max_examples=300)
@given(ALGOS, PRICES)
def test_the_index_finds_what_asking_each_order_would_find(algos, prices):
    index = WaitingAlgos()
    asked = {}
    for number, values in enumerate(algos, 1):
        index.add(algo_order(number, *values))
        asked[number] = algo_order(number, *values)
    for working_type, price in prices:
        expected = [
            number
            for number, algo in asked.items()
            if algo.working_type == working_type and algo.is_reached_by(Decimal(price))
        ]
        found = index.reached(working_type, Decimal(price))
        assert [algo.algo_id for algo in found] == expected
        for algo in found:
            index.remove(algo)
            index.remove(algo)
            del asked[algo.algo_id]
        assert len(index) == len(asked)
