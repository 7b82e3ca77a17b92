"""`python -m spanreel` is `spanreel`."""

from spanreel.cli.app import main

if __name__ == "__main__":
    main()
