"""What paymux costs, each figure beside the bare floor measured in the same run: ``python -m benchmarks``."""
