"""Graphs: an `EdgeList` becomes a `Graph`, and a graph is split.

In: an edge list, names of nodes, features. Out: `Graph` (edges as pairs of indices, each once; ids; features) and
`Split` (disjoint train, validation, calibration and test edges).
"""
