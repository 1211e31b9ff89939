"""`python -m tokencalc`: the same as the `tokencalc` command."""

from __future__ import annotations

from tokencalc.cli.main import main

if __name__ == "__main__":
    main()
