"""What LLM calls cost, and that they never cost more than someone allowed."""
