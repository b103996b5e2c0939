"""Which reading of the paper's text gives the numbers of its tables?"""
