"""Update rules: how a model changes after a training sequence or a time step."""
