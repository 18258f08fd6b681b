"""Reading: any source of edges or pairs becomes an `EdgeList`.

In: a path, an address of a database, or an object of another library (pandas, NetworkX, SciPy ...). Out: two columns of
ids as text, and beside them kinds, weights and times where there are any. Every error names the file, the line and the
value. Nothing here knows what a graph is.
"""
