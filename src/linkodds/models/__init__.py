"""Models: what is fitted to train edges and scores pairs.

In: train edges, features and options. Out: a fitted scorer and its weights. `autoencoders` holds PyTorch modules and
losses, `training` the loop with its budget, guard and checkpoints, `structural` the models on counts of walks.
"""
