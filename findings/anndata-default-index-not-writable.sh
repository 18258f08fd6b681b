#!/usr/bin/env bash
# anndata 0.12.6 with pandas 3.1.1
#
# An AnnData made of nothing but names of observations cannot be written: write_h5ad raises RuntimeError, since the index of
# variables that anndata itself makes is a nullable string array, which allow_write_nullable_strings forbids by default.
# Likely guess: an AnnData without X and without strings of the user writes as it is.
# Source: anndata, src/anndata/_io/specs/methods.py, write_nullable; the output below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet anndata==0.12.6 pandas==3.1.1
cat > "$folder/write.py" <<'PY'
import sys
import warnings

import anndata
import pandas

warnings.simplefilter("ignore")
data = anndata.AnnData(obs=pandas.DataFrame(index=["ant", "bee", "wasp"]))
try:
    data.write_h5ad(sys.argv[1])
except RuntimeError as error:
    print("refused:", error)
    assert "allow_write_nullable_strings" in str(error), "it is refused for another reason now"
else:
    raise AssertionError("it is written now")
PY
"$folder/venv/bin/python" "$folder/write.py" "$folder/tiny.h5ad"
