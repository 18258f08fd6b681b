"""Runs: a saved fit, read and written.

In: a directory of a fit. Out: `Run`, checked file by file; and what follows from it for new links (their assumed number)
and for nodes that were not in the graph. JSON is read and written here.
"""
