"""Update rules, which change a model after a training sequence or a time step."""
