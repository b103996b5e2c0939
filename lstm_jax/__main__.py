"""The message of `python -m lstm_jax`, which is not a command."""

TEXT = """lstm_jax is a library: import lstm_jax as lstm; help(lstm).
Its commands (fit, predict, the paper's experiments) are in a clone of its repository:
python -m experiments lists them."""

if __name__ == "__main__":
    print(TEXT)
