"""Comparison: several fits side by side.

In: a graph or a file of scores, names of models, and a protocol (ours, or one of a paper). Out: the same splits for
every model, figures with intervals over splits. The demo, which compares a promise with a known truth, is here too.
"""
