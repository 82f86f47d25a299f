"""The drill: phases, engine, markers, settling, journal, locks."""
