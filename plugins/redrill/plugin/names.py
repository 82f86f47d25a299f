"""The names that tests, ours and users' own, use of redrill."""

ENDPOINT, APPLICATION = "endpoint_name", "application_name"
"""What tests are parametrised by."""

TIMELINE = "redrill_timeline"
"""The marker of tests that show, when they fail, how their endpoint recovered."""

MARKERS = (
    "redrill_requires(*needs): what the endpoint must declare for a test to apply; 'drill': a mode that redeploys, "
    "'peers': that the run has observed at least three endpoints of its role, 'laws': that they were drilled twice",
    f"{TIMELINE}: a failure shows how the endpoint recovered, as a picture",
    "redrill_severity(level): how much a failure matters: blocker, critical, normal, minor or trivial",
)
