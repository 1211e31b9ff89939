"""The book: append-only entries, holds as rows, budget periods as counters, one writer with group commit.

The ledger knows nothing of prices; what a call costs is handed in. Rules about
budgets live one floor up, in `tokencalc.budgets`, and run inside the ledger's
transactions through `tokencalc.ledger.store.Transaction`.
"""
