"""Update rules: how a network changes after a sequence or after a step."""
