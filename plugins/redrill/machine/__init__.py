"""The live handle of an endpoint: sessions, commands, streams."""
