"""Structural models: trees and small networks on counts of walks, landmarks and spectra, without PyTorch.

In: the message graph and features. Out: a scorer. The counts of a train edge are taken with that edge masked.
"""
