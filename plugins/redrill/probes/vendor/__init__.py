"""What the vendor says the files of an endpoint should be: one oracle for each packaging system."""
