"""What this program answers to the cases, one module a kind.

Each has `answer(site, case)` and `expected(case)`: two values that are equal where we agree.
`site` is None for kinds that need no configuration.
"""
