"""``python -m paymux`` is the command ``paymux``."""

from paymux.cli import main

if __name__ == "__main__":
    main()
