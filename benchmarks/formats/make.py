"""Write the files of the tools that Python has; run in the environment of requirements.txt.

python make.py FOLDER
"""

import sys
from pathlib import Path

import from_graph_tools  # noqa: F401
import from_matrices  # noqa: F401
import from_ndex_and_rdf  # noqa: F401
import from_networkx  # noqa: F401
import from_pandas  # noqa: F401
import from_tables  # noqa: F401
from known import make

if __name__ == "__main__":
    make(Path(sys.argv[1]))
