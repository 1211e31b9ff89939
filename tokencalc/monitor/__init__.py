"""Collectors: what the machine, the limiters and the operations of this process do, as samples in the ledger."""
