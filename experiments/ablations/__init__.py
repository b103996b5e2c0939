"""An ablation study: which interpretation of the paper gives the numbers of its tables?"""
