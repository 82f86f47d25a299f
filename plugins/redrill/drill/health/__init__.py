"""How applications are asked whether they work, again and again, and what became of that over time."""
