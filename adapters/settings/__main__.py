"""Says what is wrong with the settings in the environment, with exit code 2; without a word when all are good."""

from .load import load_or_exit

if __name__ == "__main__":
    load_or_exit()
