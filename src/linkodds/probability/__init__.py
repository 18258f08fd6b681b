"""Probability: logits become probabilities, probabilities become decisions.

In: `HeldOut` of the calibration edges. Out: a `Calibrator`, the correction for degrees, the rate of new links under a
stated number of missing links, `Decision` (a threshold by a named rule), and selections with a controlled error rate.
"""
