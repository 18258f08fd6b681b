"""Graph formats: one small module for each family; `registry` knows which file is which, `parsed` what they all become."""
