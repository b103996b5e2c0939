"""What the commands share; each module imports only from those before it.

`text` and `collection` (result files), `command` (flags, help, errors), `progress`, `pictures`,
`runner` (one row from its trials to its files), `rows` (the flags of all that run rows).
"""
