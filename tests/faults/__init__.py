"""Loss under faults: real servers are killed, and a checker in the style of Jepsen's set test counts readings."""
