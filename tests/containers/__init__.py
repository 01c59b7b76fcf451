"""Containers for tests, and the proof that the repository's own ones work: `python -m tests.containers`.

docker.py      the engine that runs here, by its command line
engine.py      one of our own where none runs, and compose
images.py      the official images where they can be had, else stand-ins built from `stand_ins/`
compose.py     docker-compose.yml, started, broken and ended
deployment.py  what compose runs, as end-to-end tests see a product
traffic.py     clients that write and read meanwhile
proof.py       the story that is told and checked
"""
