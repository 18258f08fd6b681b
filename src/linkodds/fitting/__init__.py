"""Fitting: one fit, from a graph to a run.

In: a graph and a `FitConfig`. Out: a `Run`: models are chosen on validation edges, calibrated on calibration edges and
measured on test edges. Tuning, folds, evaluation over time and resuming belong to it.
"""
