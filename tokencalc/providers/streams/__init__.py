"""Streams and realtime sessions: a list of events folded into the body that the unstreamed answer would have been.

One file for each way of streaming, `events` for what an event looks like when an
SDK or an envelope holds it, `merge` for the one rule of all: the last figure that
was said wins, key by key. Folding reads no usage; `tokencalc.providers.registry`
reads the bodies that come out.
"""
