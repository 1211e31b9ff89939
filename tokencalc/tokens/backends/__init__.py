"""What counts the tokens: tiktoken always, other libraries where they are installed.

``tiktoken`` is no file here: the base way is `tokencalc.tokens.vocabularies`.
``fast``      fastokens (extra ``[fast]``) for o200k and cl100k, the same counts many times quicker
``bundled``   splintr-rs (extra ``[exact]``) for the vocabularies of other families
``families``  which of these vocabularies a family is counted by, and how sure that is
``installed`` what of this is installed and loaded, for people who look

Each library is imported in its one file, when it is first needed. Without it, or
where it fails its check, the base way counts, and the method of the count says so.
"""
