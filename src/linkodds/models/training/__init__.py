"""Training: one loop, its budget, its divergence guard, its checkpoints, and what it is estimated to cost.

In: a module of `models.autoencoders` and train and validation edges. Out: the weights of the best epoch and a history
with one row an epoch.
"""
