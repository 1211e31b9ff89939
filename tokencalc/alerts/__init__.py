"""Alerts: rules over samples and the book, their states in the ledger, and the channels that tell somebody."""
