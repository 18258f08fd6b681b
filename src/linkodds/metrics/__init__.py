"""Metrics: scored edges and non-edges become numbers with intervals.

In: a scorer, held-out edges, and the design of the non-edges (all, a sample, strata). Out: `HeldOut`, and on it ROC AUC,
average precision, ranks and their 95 % intervals. Ties, weights and sampling rates are settled here and nowhere else.
"""
