"""Wrapping other people's LLM clients, so that they obey budgets and book what they use."""
