"""The fault suite: load on whole deployments while their processes are killed, stopped and paused at random.

`python -m tests.chaos --help`, or `make chaos`. At the end every acknowledged event must be in every read, once. It
knows the HTTP contract and nothing of the product's code.

Modules, in the order of their imports: `options`; what was sent (`ledger`, `deletions`, `complaints`); what is sent
(`drafts`, `posting`, `load`); what breaks (`stage`, `plan`, `faults`); what must be true at the end (`reads`,
`compare`, `sums`, `verify`); `report` and `run`.
"""
