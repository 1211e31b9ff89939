"""Limits on how often something may be done: permits in a bucket, and a breaker after failures."""
