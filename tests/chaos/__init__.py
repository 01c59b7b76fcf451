"""The fault suite: load on whole deployments while their processes are killed, stopped and paused at random.

`python -m tests.chaos --help`, or `make chaos`. At the end every acknowledged event must be in every read, once. It
knows the HTTP contract and nothing of the product's code.

What was sent: `ledger`, `deletions`, `life`, `people`. The load: `drafts`, `posting`, `scene`, `writing`, `reading`,
`deleting`, `telling`, `erasing`, `load`. What breaks: `stage`, `plan`, `faults`. What must be true at the end: `proof`,
with `reads`, `listed`, `compare`, `sums`, `contacts`, `verify`. What is told: `complaints`, `measures`, `report`. `run`
puts them together, `__main__` is the command.
"""
