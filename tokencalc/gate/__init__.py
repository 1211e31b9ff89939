"""The gate for CI: what a run used, against budgets, a baseline and samples.

A run is read from a ledger, from JSON Lines or from what the pytest plugin wrote
(`reading`), judged (`judging`), and told as text, JSON, JUnit, Markdown or
annotations. A room of its own beside `reports`: those answer about a period of a
ledger, the gate compares two runs call by call, and the pytest plugin needs it
without a ledger's reports.
"""
