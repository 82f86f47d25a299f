"""Programs of one round trip that turn a machine into facts."""
