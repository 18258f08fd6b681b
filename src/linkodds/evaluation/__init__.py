"""Evaluation: the content of evaluation.json as a value.

In: the scored test edges, the calibrator and the decisions. Out: `Evaluation`, curves, operating points, and metrics by
period where edges have times.
"""
