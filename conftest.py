"""What the self-tests of this checkout share."""

pytest_plugins = ["pytester"]
