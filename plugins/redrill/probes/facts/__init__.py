"""The small facts of an endpoint: each is one command of a single batch and a parser of what it printed."""
