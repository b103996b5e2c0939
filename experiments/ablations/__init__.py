"""An ablation study of the interpretations of the paper."""
