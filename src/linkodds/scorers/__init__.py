"""Scorers: pairs become logits, without training.

In: the message graph (its train edges) and pairs. Out: one logit a pair. The seam `PairScorer` that every model meets is
here, the counts that serve as baselines, and inner products.
"""
