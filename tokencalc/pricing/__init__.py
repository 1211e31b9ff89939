"""Prices: dated rate cards, the catalog that finds the right one, and the cost of a usage.

Rooms below know nothing of it; it knows nothing of ledgers and budgets. The
tables are edited as TOML in the top-level ``pricing/`` folder and shipped as
compiled JSON.
"""
