"""execution: the gate, and the only service with the trading key.

Owns: the journal of its account, the orders it sent, the positions folded from its fills.
Hears: intent.approved.<account>.*, command.<account>.*, reconcile.<account>.report, market.quote,
market.mark, market.clock; the venue's answers and its user data stream.
Says: journal.<account>, account.<account>.state, intent.refused.*, and orders to the venue.
Never: sends an order that is not durably journaled, not signed by risk, expired, or already sent;
guesses what became of an order.
"""
