"""Counting tokens before a call, offline: exactly where the vocabulary is public, with a range where it is not.

Ask `tokencalc.tokens.count` (``count_text``, ``count_messages``) and
`tokencalc.tokens.output` (``expected_output_tokens``). Behind them:

``result``        the records ``TokenCount``, ``Counted`` and ``CacheInfo``
``vocabularies``  packed vocabularies to tiktoken encodings, once each
``pieces``        where a text may be cut without changing its count
``exact``         the count of one public encoding, of any text up to the limit
``runs``          a text as runs of one script and kind
``factors``       measured factors from o200k to each family, with their scatter
``approximate``   the count of a family without a public vocabulary
``cache``         one bounded store of counts by hash of the whole text
``envelope``      what each family adds around messages
``messages``      messages of several shapes to texts and what cannot be counted

Nothing here knows prices or models' names beyond the family that it is told.
"""
