"""`python -m celadon`."""

from celadon.doors.cli import main

if __name__ == "__main__":
    main()
