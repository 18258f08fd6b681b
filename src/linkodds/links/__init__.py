"""Links: what a person asks of a run.

In: a run and a question. Out: probabilities of pairs, lists of new links with evidence, lists with a controlled error
rate, and files for other tools.
"""
