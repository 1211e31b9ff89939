"""Logs of coding agents, read into records that the engine can book; nothing of the ledger is in here.

`found` says where logs live, `claude_code` reads them, `records` is what comes
out. Files are opened for reading only, and the text of messages is never kept.
"""
