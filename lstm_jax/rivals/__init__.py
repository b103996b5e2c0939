"""The methods that the paper compares the LSTM with, one module each."""
