"""The names that tests, ours and users' own, use of redrill."""

ENDPOINT, APPLICATION = "endpoint_name", "application_name"
"""What tests are parametrised by."""

MARKERS = (
    "redrill_requires(*needs): what the endpoint must declare for a test to apply; 'drill': a mode that redeploys, "
    "'peers': that the run has observed at least three endpoints of its role",
    "redrill_severity(level): how much a failure matters: blocker, critical, normal, minor or trivial",
)
