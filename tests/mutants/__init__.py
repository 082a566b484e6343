"""Twenty mistakes that a developer could make in the job, each of which the tests must find.

`catalogue` lists them as edits of the source, each with the tests that find it. `python -m tests.mutants`, which is
`make mutants`, makes each edit in a copy of the tree and runs those tests there.
"""
