"""Search: the best pairs among all pairs, exact, ties included.

In: a scorer and the pairs to leave out. Out: the best K pairs, all above a logit, or the best of each node; by blocks,
by bounds, or among candidates whose recall is estimated.
"""
