"""`python -m linkodds`: the command line."""

from linkodds.cli import main

if __name__ == "__main__":
    main()
