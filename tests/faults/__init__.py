"""What is lost when things break: real servers, killed for real, and a checker in the style of Jepsen's set test."""
