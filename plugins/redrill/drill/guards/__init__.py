"""What may forbid a wipe: one small module for each kind of guard; what a guard cannot tell, it refuses."""
