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
``request``       the records of a request: turns, texts, images, what cannot be counted
``reading``       foreign values as plain data
``messages``      messages of several shapes to turns
``definitions``   tools, tool choices and schemas of several shapes
``images``, ``image_costs``  sizes from headers, and what they cost
``layout``        a request as a provider bills it
``openai``, ``typescript``  OpenAI's form
``surroundings``, ``fitted``  what the other families add, by weights

Nothing here knows prices or models' names beyond the family that it is told.
"""
