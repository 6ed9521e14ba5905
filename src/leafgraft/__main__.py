"""``python -m leafgraft``."""

from leafgraft.cli import main

if __name__ == "__main__":
    main()
