"""What providers answer, read into one form: raw payload -> `tokencalc.usage.Usage`.

One file for each wire format, strict readers in `payload`, and `registry.read_usage`
that finds the format. Nothing here knows a price, and no SDK is imported.
"""
