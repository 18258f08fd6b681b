"""Sharded fits: graphs that do not fit the memory, in stages over files.

    prepare   edge lists -> numbered nodes, split, rows of the message graph, H = [X, P X, ..., P^K X] in blocks of rows
    fit       decoupled models in minibatches over H
    score     blocks of pairs -> counts that merge

Each stage is a pure function of a block number and of files; an engine maps it over the blocks. What is done stands in a
manifest, so a stage that was killed goes on with the block that is missing.
"""
