"""Budgets, and the one path by which money is booked: reserve, settle, release, record."""
