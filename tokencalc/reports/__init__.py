"""Summaries of a ledger for people and machines: shares, savings, Markdown, JSON."""
